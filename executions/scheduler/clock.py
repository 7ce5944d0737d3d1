"""The clock for the end of a lease. It also counts the time while the machine is suspended.

``time.monotonic`` stops during suspension, but the database's clock and the lease do not.
"""

import time

# Systems without that clock, such as macOS, count suspension in clock_gettime's monotonic clock.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def elapsed() -> float:
    """Seconds since some moment in the past; only differences mean something."""
    return time.clock_gettime(_CLOCK)
