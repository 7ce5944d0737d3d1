"""How Python's collector of circular references goes about a web process.

A page makes ten thousand objects and more, and nearly all go with it, without the collector. By its
own measure it would look through them a dozen times before they do.
"""

from __future__ import annotations

import gc

# So many more objects made than gone begin a collection, instead of some hundreds: more than most
# pages have at once, and a few megabytes. Measured: 3 ms of a page's 50, of every eighth 10 to 20.
YOUNG = 20_000


def settle() -> None:
    """What is here by now stays as long as the process does: no collection looks at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
