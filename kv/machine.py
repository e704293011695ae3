"""The state machine: entries in, answers out, the same on every server (S1).

What it answers is what a clerk is sent, if it is still there; servers that have no clerk waiting
throw the answers away.
"""

from typing import Protocol

from kv.sessions import RESULTS_MAX, Session, Sessions
from messages.batch import decode_batch
from messages.client import (
    APPEND,
    PUT,
    VALUE_BYTES_LIMIT,
    VALUE_TOO_LONG,
    OpenSession,
    Operation,
    Reason,
    Refused,
    SessionOpened,
    Writes,
    Wrote,
)
from messages.clientcodec import decode_request
from messages.codec import CodecError, decode_membership
from messages.raft import COMMAND, MEMBERSHIP, Entry, Membership, Snapshot
from messages.sessions import decode_table, encode_table

Answer = SessionOpened | Wrote | Refused


class Store(Protocol):
    """Where the keys are kept (storage/state.py, or a dict in tests)."""

    def get(self, key: bytes) -> bytes | None:
        """The value, None where there is none."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value."""


class Machine:
    """All that the log has led to, up to applied.last_included_index."""

    def __init__(self, store: Store, applied: Snapshot, meta: bytes) -> None:
        """Go on from a store as it was at `applied`, with what meta() gave there, b"" at first."""
        self.store = store
        self.sessions = Sessions.load(decode_table(meta)) if meta else Sessions()
        self.operations_executed = 0
        self.applied_index, self._term, self._membership = applied  # lastApplied of Figure 2

    @property
    def applied(self) -> Snapshot:
        """Where this state stands in the log."""
        return Snapshot(self.applied_index, self._term, self._membership)

    @property
    def membership(self) -> Membership:
        """The latest applied membership."""
        return self._membership

    def meta(self) -> bytes:
        """Everything but the keys, to be kept with them at the same index (D3)."""
        return encode_table(self.sessions.dump())

    def apply(self, index: int, entry: Entry) -> list[Answer]:
        """Execute the next entry; one answer for each of its frames."""
        assert index == self.applied_index + 1, "an entry was left out or came twice"
        self.applied_index, self._term = index, entry.term
        if entry.kind == MEMBERSHIP:
            self._membership = decode_membership(entry.payload)
        if entry.kind != COMMAND:
            return []
        try:
            batch = decode_batch(entry.payload)
        except CodecError:
            return []  # it means nothing, here as anywhere
        self.sessions.advance(batch.elapsed_ms)
        return [self._execute(frame) for frame in batch.frames]

    def _execute(self, frame: bytes) -> Answer:
        try:
            request = decode_request(frame)
        except CodecError:
            return Refused(0, 0, Reason.BAD_REQUEST, "")
        if isinstance(request, Writes):
            return self._write(request)
        if isinstance(request, OpenSession):
            session = self.sessions.open()
            if session is None:
                return Refused(0, request.request_id, Reason.TOO_MANY_SESSIONS, "")
            return SessionOpened(request.request_id, session)
        return Refused(0, request.request_id, Reason.BAD_REQUEST, "")

    def _write(self, request: Writes) -> Wrote | Refused:
        """Execute what this session has not had executed yet (C2)."""
        session = self.sessions.use(request.session)
        first = request.first_sequence
        if session is None:
            return Refused(request.session, first, Reason.SESSION_EXPIRED, "")
        if session.results:
            session.acknowledge(request.acknowledged_below)
        expected = session.last_sequence + 1
        if first > expected or len(session.results) + len(request.operations) > RESULTS_MAX:
            return Refused(request.session, expected, Reason.OUT_OF_ORDER, "")
        fresh = request.operations[expected - first :]
        self._execute_operations(session, fresh)
        self.operations_executed += len(fresh)
        results = tuple(session.results.items())
        return Wrote(request.session, session.last_sequence, self.applied_index, results)

    def _execute_operations(self, session: Session, operations: tuple[Operation, ...]) -> None:
        put = self.store.put
        for kind, key, value in operations:
            session.last_sequence += 1
            if kind == PUT:
                put(key, value)
            elif kind == APPEND:
                longer = (self.store.get(key) or b"") + value
                if len(longer) <= VALUE_BYTES_LIMIT:
                    put(key, longer)
                else:
                    session.results[session.last_sequence] = VALUE_TOO_LONG
