"""Kvorum's front door: what programs import."""

from actors.asyncclerk import AsyncClerk
from actors.clerk import Clerk, Pipeline
from actors.clerkerrors import (
    ClerkClosed,
    DiskFull,
    KvorumError,
    NotApplied,
    OutcomeUnknown,
    Overloaded,
    TooLarge,
    Unavailable,
    WrongVersion,
)
from launch.throwaway import Cluster, ClusterFailed

__all__ = [
    "AsyncClerk",
    "Clerk",
    "ClerkClosed",
    "Cluster",
    "ClusterFailed",
    "DiskFull",
    "KvorumError",
    "NotApplied",
    "OutcomeUnknown",
    "Overloaded",
    "Pipeline",
    "TooLarge",
    "Unavailable",
    "WrongVersion",
]
