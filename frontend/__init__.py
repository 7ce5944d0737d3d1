"""Makes the reduced style sheet and typeface that the browser loads from the whole ones here."""
