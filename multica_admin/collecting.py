"""How Python's collector of circular references goes about a web process.

A page makes tens of thousands of objects, and nearly all of them go with it, without the collector.
It looks at them all the same, the more thoroughly the less it knows to be old.
"""

from __future__ import annotations

import gc

# So many collections of the middle generation, instead of 10, before all that is new since the
# start is looked through: measured, 10 to 20 ms of every eighth page.
SELDOM = 100


def settle() -> None:
    """What is here by now stays as long as the process does: no collection looks at it again."""
    young, middle, _old = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, middle, SELDOM)
