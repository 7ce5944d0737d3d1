"""What the collector of circular references still looks at in a web process."""

from __future__ import annotations

import subprocess
import sys

SETTLED = """
import gc, weakref
from multica_admin.collecting import settle

class Circle: pass

settle()
assert gc.get_freeze_count() > 1000
circle = Circle()
circle.itself, gone = circle, weakref.ref(circle)
del circle
kept = [[] for _ in range(2 * gc.get_threshold()[0])]
assert gone() is None
"""


def test_what_is_there_is_left_alone_and_a_new_circle_is_still_collected():
    subprocess.run([sys.executable, "-c", SETTLED], check=True, timeout=60)
