"""Why usage shows zero: questions to the database, one cause, and one next step.

`look.py` says what a diagnosis is made from, `causes.py` finds the one cause and `questions.py`
answers. Both are pure; `read.py` reads. The page and `manage.py diagnose` show the same.
"""
