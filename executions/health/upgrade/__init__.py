"""Before an upgrade of Multica: is it safe, what stands in the way, and what comes first.

`facts.py`, `changes.py`, `steps/` and `answer.py` are pure; `read.py` reads.
"""
