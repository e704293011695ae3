"""The state: at every moment a dict, on disk always that dict as of one applied index."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import lmdb
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from messages.raft import Membership, Snapshot
from storage.environment import StorageRefused, open_environment
from storage.memtable import KEY_OVERHEAD_BYTES
from storage.state import CHUNK_KEYS_MAX, KEY_BYTES_MAX, StateStore
from tests.storage.conftest import fast_place
from tests.storage.fakes import IDENTITY, place

KEYS = st.binary(min_size=1, max_size=3)


@pytest.fixture
def environment(directory: Path) -> Iterator[lmdb.Environment]:
    """An empty environment."""
    opened = open_environment(directory / "state", IDENTITY)
    yield opened
    opened.close()


@pytest.fixture
def state(environment: lmdb.Environment) -> Iterator[StateStore]:
    """An empty state."""
    opened = StateStore(environment)
    yield opened
    opened.close()


def test_a_new_state_is_empty(state):
    """Nothing was applied, and nothing is known of the state machine."""
    assert state.load() == (0, b"")
    assert state.last_included == Snapshot(0, 0, Membership())
    assert state.get(b"key") is None
    assert state.scan(b"", None, 10) == []


def test_a_flush_keeps_keys_meta_and_place_together(environment, state):
    """D3: whoever opens the state finds all three as of the same applied index."""
    state.put(b"a", b"1")
    state.put(b"b", b"")
    state.freeze(b"sessions", place(7))
    state.put(b"a", b"2")
    state.flush()
    state.release()
    state.close()

    reopened = StateStore(environment)

    assert (reopened.get(b"a"), reopened.get(b"b"), reopened.get(b"c")) == (b"1", b"", None)
    assert reopened.load() == (7, b"sessions")
    assert reopened.last_included == place(7)
    assert not reopened.installed
    reopened.close()


def test_what_was_not_flushed_is_the_logs_to_bring_back(environment, state):
    """DESIGN 3: a crash takes the memtable; entries behind the applied index are applied again."""
    flush(state, 1, {b"a": b"1"})
    state.put(b"a", b"2")
    state.delete(b"b")
    state.close()

    reopened = StateStore(environment)

    assert (reopened.applied_index, reopened.get(b"a")) == (1, b"1")
    reopened.close()


def test_each_layer_hides_the_ones_below(state):
    """Memtable over frozen over disk, deletions as well as values."""
    flush(state, 1, {b"a": b"disk", b"b": b"disk", b"c": b"disk", b"d": b"disk"})
    state.put(b"b", b"frozen")
    state.delete(b"c")
    state.put(b"d", b"frozen")
    state.freeze(b"", place(2))
    state.put(b"d", b"memory")
    state.put(b"c", b"memory")
    state.delete(b"a")

    assert [state.get(key) for key in (b"a", b"b", b"c", b"d")] == [
        None,
        b"frozen",
        b"memory",
        b"memory",
    ]
    assert state.scan(b"", None, 10) == [(b"b", b"frozen"), (b"c", b"memory"), (b"d", b"memory")]


def test_a_scan_ends_before_last_and_at_its_limit(state):
    """The first key asked for is in it, the last one is not; None is the end of all keys."""
    flush(state, 1, {b"a": b"1", b"c": b"3", b"e": b"5"})
    state.put(b"b", b"2")
    state.put(b"d", b"4")

    assert state.scan(b"b", b"d", 10) == [(b"b", b"2"), (b"c", b"3")]
    assert state.scan(b"b", None, 3) == [(b"b", b"2"), (b"c", b"3"), (b"d", b"4")]
    assert state.scan(b"f", None, 10) == []
    assert state.scan(b"a", None, 0) == []


def test_a_scan_sees_keys_put_after_the_one_before(state):
    """The memtable's order is kept up lazily, never wrongly."""
    state.put(b"m", b"1")
    assert state.scan(b"", None, 10) == [(b"m", b"1")]

    state.put(b"z", b"2")
    state.put(b"a", b"0")
    state.put(b"m", b"9")

    assert state.scan(b"", None, 10) == [(b"a", b"0"), (b"m", b"9"), (b"z", b"2")]


def test_the_memtable_says_how_much_it_holds(state):
    """O3: its owner flushes by size; a key overwritten is not counted twice, nor is one free."""
    state.put(b"key", bytes(1000))
    state.put(b"key", bytes(10))
    state.delete(b"gone")

    assert state.memtable_keys == 2
    assert state.memtable_bytes == 2 * KEY_OVERHEAD_BYTES + len(b"key") + 10 + len(b"gone")

    state.freeze(b"", place(1))
    assert (state.memtable_keys, state.memtable_bytes) == (0, 0)


def test_a_flush_weighs_what_it_rewrites(state):
    """O3: LMDB holds a page for each key it changes, but none twice, and keeps that memory."""
    flush(state, 1, {b"%05d" % number: bytes(1000) for number in range(1_000)})
    own = KEY_OVERHEAD_BYTES + 5
    page = os.sysconf("SC_PAGE_SIZE")

    state.put(b"00007", b"")
    assert state.memtable_bytes == own + page
    for number in range(1_000):
        state.put(b"%05d" % number, b"")

    pages = (state.memtable_bytes - 1_000 * own) / page
    assert 1_000 / 4 <= pages < 1_000 / 2, "three or so of these keys fit into a page"


def test_a_flush_lets_go_what_it_has_read_as_it_goes_on(state, monkeypatch):
    """Keys lie all over the file: at its end a flush would have mapped all of it."""
    let_go = []
    monkeypatch.setattr(state.disk, "let_pages_go", lambda: let_go.append(True))
    for number in range(5 * CHUNK_KEYS_MAX):
        state.put(b"%d" % number, b"v")
    state.freeze(b"", place(1))

    state.flush()

    assert len(let_go) >= 5


def test_keys_are_bounded_by_what_lmdb_takes(state):
    """The longest key can be kept; a longer or empty one should have been refused before."""
    longest = bytes([255]) * KEY_BYTES_MAX
    flush(state, 1, {longest: b"value"})
    assert state.get(longest) == b"value"

    for key in (b"", longest + b"x"):
        with pytest.raises(AssertionError):
            state.put(key, b"value")


def test_two_frozen_memtables_are_a_bug(state):
    """The owner waits for a flush to be over; else the later could become durable first."""
    state.freeze(b"", place(1))

    with pytest.raises(AssertionError, match="not released"):
        state.freeze(b"", place(2))


def test_what_is_not_durable_is_not_forgotten(state):
    """A release() before its flush() changes nothing: the word of an earlier one may come late."""
    state.put(b"a", b"1")
    state.freeze(b"", place(1))

    state.release()

    assert (state.get(b"a"), state.applied_index, state.is_flushing) == (b"1", 0, True)
    state.flush()
    state.release()
    assert (state.get(b"a"), state.applied_index, state.is_flushing) == (b"1", 1, False)


def test_a_flush_of_nothing_is_nothing(state):
    """Its memtable was dropped for a snapshot before the thread came to it."""
    state.put(b"a", b"1")
    state.freeze(b"", place(1))
    state.adopt()

    state.flush()
    state.release()

    assert (state.get(b"a"), state.applied_index) == (None, 0)


def test_reads_go_on_while_a_thread_flushes(state):
    """No key is ever missing or old, before, during and after the flush; nobody takes a lock."""
    old = {b"%d" % number: b"old" for number in range(20_000)}
    flush(state, 1, old)
    for key in old:
        state.put(key, b"new")
    state.freeze(b"", place(2))
    thread = Thread(target=state.flush)
    thread.start()

    reads = 0
    while thread.is_alive():
        assert state.get(b"%d" % (reads % 20_000)) == b"new"
        state.put(b"other", b"%d" % reads)
        reads += 1
    thread.join()
    state.release()

    assert reads
    assert {state.get(key) for key in old} == {b"new"}
    assert state.get(b"other") == b"%d" % (reads - 1)


def test_an_old_read_transaction_does_not_outlive_a_flush(environment, state):
    """O2: flushes over the same keys reuse pages, so the file stops growing."""
    sizes = []
    for index in range(1, 41):
        flush(state, index, {b"%d" % number: bytes(200) for number in range(1000)})
        sizes.append(environment.info()["last_pgno"])

    assert sizes[-1] <= 2 * sizes[4]


def test_a_damaged_record_of_the_state_is_refused(environment, state):
    """D6: a state that does not know where it stands must not be replayed onto."""
    flush(state, 1, {b"a": b"1"})
    state.close()
    with environment.begin(write=True) as txn:
        raw = txn.get(b"saved")
        txn.put(b"saved", raw[:9] + b"!" + raw[10:])

    with pytest.raises(StorageRefused, match="damaged"):
        StateStore(environment)


class AgainstADict(RuleBasedStateMachine):
    """Whatever happens in whatever order, the state reads like a dict."""

    @initialize()
    def start(self) -> None:
        self.place = TemporaryDirectory(dir=fast_place())
        self.environment = open_environment(Path(self.place.name) / "state", IDENTITY)
        self.state = StateStore(self.environment)
        self.model: dict[bytes, bytes] = {}
        self.frozen: tuple[int, dict[bytes, bytes]] | None = None
        self.flushed = False
        self.durable: tuple[int, dict[bytes, bytes]] = (0, {})
        self.index = 0

    @rule(key=KEYS, value=st.binary(max_size=5))
    def put(self, key: bytes, value: bytes) -> None:
        self.index += 1
        self.state.put(key, value)
        self.model[key] = value

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        self.index += 1
        self.state.delete(key)
        self.model.pop(key, None)

    @precondition(lambda self: self.frozen is None and self.index > self.durable[0])
    @rule()
    def freeze(self) -> None:
        self.frozen = (self.index, dict(self.model))
        self.state.freeze(b"meta %d" % self.index, place(self.index))

    @precondition(lambda self: self.frozen is not None and not self.flushed)
    @rule()
    def flush(self) -> None:
        self.state.flush()
        assert self.frozen is not None
        self.flushed = True
        self.durable = self.frozen

    @precondition(lambda self: self.flushed)
    @rule()
    def release(self) -> None:
        self.state.release()
        self.frozen, self.flushed = None, False

    @rule()
    def crash(self) -> None:
        self.state.close()
        self.environment.close()
        self.environment = open_environment(Path(self.place.name) / "state", IDENTITY)
        self.state = StateStore(self.environment)
        self.index, model = self.durable
        self.model = dict(model)
        self.frozen, self.flushed = None, False
        assert self.state.load() == (self.index, b"meta %d" % self.index if self.index else b"")

    @rule(first=st.binary(max_size=2), last=st.none() | KEYS, limit=st.integers(0, 20))
    def scan(self, first: bytes, last: bytes | None, limit: int) -> None:
        inside = [k for k in sorted(self.model) if k >= first and (last is None or k < last)]
        expected = [(key, self.model[key]) for key in inside[:limit]]
        assert self.state.scan(first, last, limit) == expected

    @invariant()
    def reads_like_a_dict(self) -> None:
        for key in (*self.model, b"never"):
            assert self.state.get(key) == self.model.get(key)

    def teardown(self) -> None:
        self.state.close()
        self.environment.close()
        self.place.cleanup()


AgainstADict.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAgainstADict = AgainstADict.TestCase


def flush(state: StateStore, index: int, values: dict[bytes, bytes]) -> None:
    """Bring values to the disk, as of this index."""
    for key, value in values.items():
        state.put(key, value)
    state.freeze(b"meta", place(index))
    state.flush()
    state.release()
