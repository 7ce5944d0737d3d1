"""What the collector of circular references still looks at in a web process."""

from __future__ import annotations

import subprocess
import sys

from tests.waiting import HANG

SETTLED = """
import gc, weakref
from multica_admin.collecting import settle

class Circle: pass

settle()
assert gc.get_freeze_count() > 1000
looked = gc.get_stats()[0]["collections"]
page = [[] for _ in range(10_000)]
assert gc.get_stats()[0]["collections"] == looked
del page
circle = Circle()
circle.itself, gone = circle, weakref.ref(circle)
del circle
kept = [[] for _ in range(2 * gc.get_threshold()[0])]
assert gone() is None
"""


def test_what_is_there_is_left_alone_a_page_costs_no_look_and_circles_are_still_collected():
    subprocess.run([sys.executable, "-c", SETTLED], check=True, timeout=HANG)
