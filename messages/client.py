"""What a clerk and a server say to each other; docs/wire.md tells a clerk in another language.

Writes of one session are numbered without a gap and take effect in that order, each once, however
often they are sent: so one number, Wrote.through, answers all that were sent before it.
Reads are numbered by the clerk and know no session: asking again does no harm.
"""

from typing import NamedTuple

VERSION = 1
"""Of this protocol; a Hello of another version is refused."""

NOTHING, PUT, APPEND = 0, 1, 2
"""Kinds of operations on wire and disk, never renumbered; NOTHING stands in for a refused one."""

LINEARIZABLE, LEASE, STALE = 0, 1, 2
"""Levels of a read: checked with a majority, trusting the leader's lease, or whatever is here."""


Counted = tuple[tuple[str, int], ...]
"""Counters by name, in no order that means anything."""


class Reason:
    """Why a server refuses, on wire: append, never renumber.

    Nothing refused was executed or ever will be, except what UNSEATED says it of: that may be.
    """

    NOT_LEADER = 1  # ask the server at `leader`, or any other when it is empty
    OVERLOADED = 2  # back off, then ask again
    DISK_FULL = 3  # reads go on; ask again later
    SESSION_EXPIRED = 4  # open another; what was in flight is unknown for ever
    OUT_OF_ORDER = 5  # resend from `number` on: an earlier frame did not arrive
    TOO_LARGE = 6  # `number` passes a limit that Welcome names; of Reads: ask for fewer keys
    BAD_REQUEST = 7  # not a request of this protocol
    BAD_VERSION = 8  # this server speaks another version
    TOO_MANY_SESSIONS = 9
    STOPPING = 10  # this server is about to stop; ask another
    UNSEATED = 11  # it led, took it, and leads no more: send it again to the server at `leader`


class Operation(NamedTuple):
    """One change to one key."""

    kind: int
    key: bytes
    value: bytes


class Hello(NamedTuple):
    """The first message on a connection; more of them do no harm, and keep it alive."""

    request_id: int
    version: int


class Welcome(NamedTuple):
    """Who answers, who leads as far as it knows, and what it takes."""

    request_id: int
    version: int
    cluster: str
    node: int
    leader: str  # the client endpoint of the leader, host:port, or nothing
    key_bytes_max: int
    value_bytes_max: int


class OpenSession(NamedTuple):
    """Ask for a session; one that was opened and never heard of expires."""

    request_id: int


class SessionOpened(NamedTuple):
    """The session of that request."""

    request_id: int
    session: int


class Writes(NamedTuple):
    """Operations first_sequence, first_sequence + 1, ... of one session.

    The clerk has the answers to all that lie below acknowledged_below: the server may forget them.
    """

    session: int
    first_sequence: int
    acknowledged_below: int
    operations: tuple[Operation, ...]


class Wrote(NamedTuple):
    """All operations up to through are executed, each once; results holds those that said more."""

    session: int
    through: int
    applied_index: int
    results: tuple[tuple[int, bytes], ...]


class Reads(NamedTuple):
    """Look up some keys at one moment."""

    request_id: int
    level: int
    keys: tuple[bytes, ...]


class Values(NamedTuple):
    """Values of the keys from place `first` on, None where there is none.

    A long answer comes in several of these, all looked up at the same moment.
    """

    request_id: int
    applied_index: int
    first: int
    values: tuple[bytes | None, ...]


class AskStatus(NamedTuple):
    """How is this node?"""

    request_id: int


class Status(NamedTuple):
    """What `launcher.py status` shows of a node; indexes as in Figure 2."""

    request_id: int
    cluster: str
    node: int
    name: str
    role: str
    leader: int
    term: int
    commit_index: int
    applied_index: int
    last_index: int
    truncated_index: int
    writes: int  # operations executed since the node started
    pid: int


class AskCounters(NamedTuple):
    """What has this node counted?"""

    request_id: int


class Counters(NamedTuple):
    """What each counter stands at since the node started; docs/wire.md tells what they count."""

    request_id: int
    counted: Counted


class Refused(NamedTuple):
    """Nothing of that frame was executed or will be, unless the reason is UNSEATED.

    Of Writes, session is set and number is a sequence; else session is 0, number a request_id.
    """

    session: int
    number: int
    reason: int
    leader: str


VALUE_TOO_LONG = b"too long"
"""The result of an append that would have passed VALUE_BYTES_LIMIT; the key is as it was."""

KEY_BYTES_LIMIT = 500
"""No configuration allows longer keys: LMDB takes 511 bytes, a prefix included."""

VALUE_BYTES_LIMIT = 1_835_008
"""No configuration allows longer values: one must fit into an entry of the log (codec.py)."""

ClientRequest = Hello | OpenSession | Writes | Reads | AskStatus | AskCounters
ClientReply = Welcome | SessionOpened | Wrote | Values | Status | Refused | Counters
