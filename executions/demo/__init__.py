"""Demo data for the embedded database: a week that never was, and a trickle of usage from now on.

It is written only into a database that `manage.py provision` made, and every page says so.
"""
