"""How a call ends: done, certainly not done, or nobody can know; nothing rounds the last (C1)."""

from enum import Enum
from typing import Any, NamedTuple


class Why(Enum):
    """Why a call was not done, or is not known to be; the sentence is for people."""

    OVERLOADED = "the cluster has more to do than it can take"
    DISK_FULL = "the leader's disk is full"
    TOO_LARGE = "larger than the cluster takes"
    UNAVAILABLE = "no leader answered in time"
    SESSION_EXPIRED = "the session was idle for too long and is forgotten"
    BAD_VERSION = "the servers speak another version of the protocol"
    QUEUE_FULL = "too many calls of this clerk wait already"
    NO_DESCRIPTOR = "this process may open no more file descriptors (ulimit -n)"
    CLOSED = "the clerk was closed"


class Ok(NamedTuple):
    """Done; a read's value, None for writes."""

    value: bytes | None


class Failed(NamedTuple):
    """Not done, and it never will be."""

    why: Why


class Unknown(NamedTuple):
    """It may have been done, or may still be, or never."""

    why: Why


Outcome = Ok | Failed | Unknown

Token = Any
"""Whoever waits for a call; the brain only hands it back."""

Settled = tuple[Token, Outcome]

WRITTEN = Ok(None)
"""One value for every write that was done."""

NEVER = float("inf")
