"""How languages write numbers, where Django does it otherwise than browsers do."""
