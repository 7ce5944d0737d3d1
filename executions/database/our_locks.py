"""PURE: the numbers of the advisory locks that are this project's own."""

from enum import IntEnum, unique


@unique
class OurLock(IntEnum):
    """Each in the database that its code connects to. 4246 is the rollup's and never one of ours.

    A number stays what it is: installations of different versions share a database.
    """

    PROVISION = 4246_0001
    SEED = 4246_0002
    TRICKLE = 4246_0003
    MIGRATE = 4246_0004
    ACT = 4246_0005
    RUN_ONCE = 4246_0006
    SCENARIO = 4246_0007
