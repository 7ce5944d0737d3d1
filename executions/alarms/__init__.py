"""Watches the verdict while nobody has a page open, and tells people when it changes."""
