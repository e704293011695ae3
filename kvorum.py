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
from actors.configvalue import ConfigError
from launch.throwaway import Cluster, ClusterFailed

__all__ = [
    "AsyncClerk",
    "Clerk",
    "ClerkClosed",
    "Cluster",
    "ClusterFailed",
    "ConfigError",
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
