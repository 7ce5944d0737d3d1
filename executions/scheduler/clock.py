"""Seconds to reckon a lease's end by, which pass while the machine is suspended as well.

``time.monotonic`` stands still then, but the database's clock goes on, and the lease runs out.
"""

from __future__ import annotations

import time

# Where there is no such clock, as on macOS, the monotonic one of clock_gettime goes on by itself.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Seconds since some moment in the past; only differences mean something."""
    return time.clock_gettime(_CLOCK)
