"""Demo data for the embedded database: a made-up week, then a trickle of new usage.

It is written only into a database that `manage.py provision` made, and every page says so.
"""
