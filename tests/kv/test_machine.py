"""kv/machine.py and kv/sessions.py: what entries mean, the same everywhere, each write once."""

from random import Random

import pytest

from kv.machine import Machine
from kv.sessions import RESULTS_MAX, SESSION_IDLE_MS, SESSIONS_MAX, Sessions
from messages.batch import ELAPSED_MS_MAX, Batch, decode_batch, encode_batch
from messages.client import (
    APPEND,
    NOTHING,
    PUT,
    VALUE_BYTES_LIMIT,
    VALUE_TOO_LONG,
    ClientRequest,
    Hello,
    OpenSession,
    Operation,
    Reason,
    Refused,
    SessionOpened,
    Writes,
    Wrote,
)
from messages.clientcodec import encode
from messages.codec import CodecError, encode_membership
from messages.raft import COMMAND, MEMBERSHIP, NOOP, Entry, Membership, Snapshot
from tests.kv.conftest import DictStore

FIRST = Snapshot(0, 0, Membership((1, 2, 3)))


@pytest.fixture
def machine():
    """One to which nothing was applied."""
    return Machine(DictStore(), FIRST, b"")


def apply(machine, *requests: ClientRequest, elapsed_ms=0):
    """Apply one entry that holds these requests: its answers."""
    payload = encode_batch(Batch(elapsed_ms, tuple(map(encode, requests))))
    return machine.apply(machine.applied_index + 1, Entry(1, COMMAND, payload))


def write(session, first, *operations: tuple[int, bytes, bytes], below=1):
    """A frame of writes."""
    return Writes(session, first, below, tuple(Operation(*found) for found in operations))


def test_put_replaces_and_append_appends(machine):
    """Mission row 2: an absent key reads as the empty value to append."""
    apply(machine, OpenSession(1))

    operations = [(APPEND, b"k", b"a"), (APPEND, b"k", b"b"), (PUT, b"l", b"x"), (PUT, b"l", b"y")]
    (answer,) = apply(machine, write(1, 1, *operations))

    assert machine.store == {b"k": b"ab", b"l": b"y"}
    assert answer == Wrote(1, 4, 2, ())


def test_a_repeated_write_is_answered_and_not_executed_again(machine):
    """Mission row 3, C2: exactly once, also for a frame that overlaps what was executed."""
    apply(machine, OpenSession(1))
    apply(machine, write(1, 1, (APPEND, b"k", b"a"), (APPEND, b"k", b"b")))

    (again,) = apply(machine, write(1, 1, (APPEND, b"k", b"a")))
    (overlapping,) = apply(machine, write(1, 2, (APPEND, b"k", b"b"), (APPEND, b"k", b"c")))

    assert again.through == 2
    assert overlapping.through == 3
    assert machine.store[b"k"] == b"abc"


def test_a_write_that_runs_ahead_is_not_executed(machine):
    """Writes of a session take effect in their order, so a lost frame holds up the next."""
    apply(machine, OpenSession(1))

    (answer,) = apply(machine, write(1, 2, (PUT, b"k", b"v")))

    assert answer == Refused(1, 1, Reason.OUT_OF_ORDER, "")
    assert machine.store == {}


def test_a_write_of_no_session_is_refused(machine):
    """C2: never re-executed because the session that would know is gone."""
    (answer,) = apply(machine, write(7, 1, (PUT, b"k", b"v")))

    assert answer == Refused(7, 1, Reason.SESSION_EXPIRED, "")
    assert machine.store == {}


def test_an_append_past_the_limit_changes_nothing_and_says_so(machine):
    """The limit is one constant for all servers: it decides what the state is."""
    apply(machine, OpenSession(1))
    apply(machine, write(1, 1, (PUT, b"k", bytes(VALUE_BYTES_LIMIT))))

    (answer,) = apply(machine, write(1, 2, (APPEND, b"k", b"x"), (NOTHING, b"", b"")))

    assert answer.results == ((2, VALUE_TOO_LONG),)
    assert len(machine.store[b"k"]) == VALUE_BYTES_LIMIT
    assert answer.through == 3


def test_results_are_kept_until_they_are_acknowledged(machine):
    """A clerk that did not hear the answer gets it again; one that did lets us forget it."""
    apply(machine, OpenSession(1))
    apply(machine, write(1, 1, (PUT, b"k", bytes(VALUE_BYTES_LIMIT)), (APPEND, b"k", b"x")))

    (again,) = apply(machine, write(1, 2, (APPEND, b"k", b"x")))
    (after,) = apply(machine, write(1, 3, (PUT, b"l", b""), below=3))

    assert again.results == ((2, VALUE_TOO_LONG),)
    assert after.results == ()


def test_a_session_keeps_no_more_results_than_its_bound(machine):
    """A clerk that acknowledges nothing is refused, not remembered without end."""
    apply(machine, OpenSession(1))
    full = (PUT, b"k", bytes(VALUE_BYTES_LIMIT))
    apply(machine, write(1, 1, full, *[(APPEND, b"k", b"x")] * (RESULTS_MAX - 1)))

    (answer,) = apply(machine, write(1, RESULTS_MAX + 1, (APPEND, b"k", b"x"), (PUT, b"l", b"")))

    assert answer == Refused(1, RESULTS_MAX + 1, Reason.OUT_OF_ORDER, "")


def test_a_session_id_is_never_used_twice(machine):
    """Also for a request that is repeated: the spare session expires."""
    answers = apply(machine, OpenSession(1), OpenSession(1), OpenSession(2))

    assert answers == [SessionOpened(1, 1), SessionOpened(1, 2), SessionOpened(2, 3)]


def test_no_more_sessions_than_their_bound(machine, monkeypatch):
    """At the bound no further one is opened."""
    monkeypatch.setattr("kv.sessions.SESSIONS_MAX", 2)

    answers = apply(machine, OpenSession(1), OpenSession(2), OpenSession(3))

    assert answers[2] == Refused(0, 3, Reason.TOO_MANY_SESSIONS, "")
    assert SESSIONS_MAX > 10_000


def test_an_idle_session_expires_by_replicated_time_alone(machine):
    """S1, S4: what leaders wrote into the log, so it is the same on every server."""
    apply(machine, OpenSession(1), OpenSession(2))
    for _ in range(SESSION_IDLE_MS // ELAPSED_MS_MAX // 2):
        apply(machine, elapsed_ms=ELAPSED_MS_MAX)
    apply(machine, write(2, 1, (PUT, b"k", b"v")))
    for _ in range(SESSION_IDLE_MS // ELAPSED_MS_MAX * 3 // 4):
        apply(machine, elapsed_ms=ELAPSED_MS_MAX)

    idle, used = apply(machine, write(1, 1, (PUT, b"k", b"")), write(2, 2, (PUT, b"k", b"w")))

    assert idle.reason == Reason.SESSION_EXPIRED
    assert used.through == 2
    assert len(machine.sessions) == 1


POISON = [
    b"",
    b"\xc1",
    b"\x05",
    b"\x92\x00\x05",
    b"\x92\xc3\x90",
    b"\x92\xff\x90",
    b"\x92\x00\x91\x05",
    b"\x92\xce\xff\xff\xff\xff\x90",
]


@pytest.mark.parametrize("payload", POISON)
def test_an_entry_that_means_nothing_changes_nothing(machine, payload):
    """S3: poison is skipped on every server alike, and the next entry is applied."""
    assert machine.apply(1, Entry(1, COMMAND, payload)) == []

    assert apply(machine, OpenSession(1)) == [SessionOpened(1, 1)]
    with pytest.raises(CodecError):
        decode_batch(payload)


def test_a_frame_that_means_nothing_is_refused_alone(machine):
    """The other frames of its entry are executed."""
    payload = encode_batch(Batch(0, (b"\xc1", encode(OpenSession(1)), encode(Hello(5, 1)))))

    answers = machine.apply(1, Entry(1, COMMAND, payload))

    assert [answer.reason for answer in answers[::2]] == [Reason.BAD_REQUEST] * 2
    assert answers[1] == SessionOpened(1, 1)


def test_a_membership_is_remembered_with_the_state(machine):
    """D3: it goes to disk with the keys of the same index."""
    later = Membership((1, 2), (), (3,))

    machine.apply(1, Entry(4, MEMBERSHIP, encode_membership(later)))
    machine.apply(2, Entry(5, NOOP, b""))

    assert machine.applied == Snapshot(2, 5, later)
    assert machine.membership == later


def test_entries_are_applied_once_and_in_order(machine):
    """An index that is not the next is our bug."""
    machine.apply(1, Entry(1, NOOP, b""))

    for index in (1, 3):
        with pytest.raises(AssertionError):
            machine.apply(index, Entry(1, NOOP, b""))


@pytest.mark.parametrize("seed", range(20))
def test_a_machine_that_was_saved_and_loaded_goes_on_the_same(seed):
    """Whatever came before: state, sessions, clock and answers are those of one never stopped."""
    random = Random(seed)
    steady, moved = Machine(DictStore(), FIRST, b""), Machine(DictStore(), FIRST, b"")
    for _ in range(60):
        if random.random() < 0.2:
            store = DictStore(moved.store)  # type: ignore[call-overload]
            moved = Machine(store, moved.applied, moved.meta())
        requests = [drawn(random) for _ in range(random.randint(0, 3))]
        elapsed_ms = random.choice([0, 5, ELAPSED_MS_MAX])
        answers = [apply(found, *requests, elapsed_ms=elapsed_ms) for found in (steady, moved)]
        assert answers[0] == answers[1]

    assert steady.store == moved.store
    assert steady.meta() == moved.meta()
    assert Sessions.load(steady.sessions.dump()).dump() == steady.sessions.dump()


def drawn(random):
    """A request of any kind that may lie in the log, often repeated or out of order."""
    if random.random() < 0.2:
        return OpenSession(random.randint(1, 3))
    operations = [
        (random.choice([PUT, APPEND]), random.choice([b"k", b"l"]), bytes(random.randint(0, 3)))
        for _ in range(random.randint(1, 4))
    ]
    first = random.randint(1, 12)
    return write(random.randint(1, 4), first, *operations, below=random.randint(1, first))
