"""The history of the verdict: each change once, and the stretches in which we were blind.

`step` decides what a look adds to the history, `stored` turns sentences into JSON and back; both
are pure. `record` looks and writes. Pages and alarms read the rows of `models/verdicts.py`.
"""
