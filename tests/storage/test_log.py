"""The log: what was written is what is loaded, damage is refused, and one write at a time."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from threading import Thread

import lmdb
import pytest

from messages.codec import encode_membership
from messages.raft import MEMBERSHIP, NOOP, Entry, HardState, Snapshot
from storage import log as log_file
from storage.environment import StorageRefused, open_environment
from storage.log import Loaded, LogStore, LogWrite
from storage.tail import TAIL_BYTES_MAX
from tests.storage.fakes import IDENTITY, MEMBERS, NOTHING, MemoryLog, entries_of, next_write, place

HARD_STATE = HardState(1, 2, 0)


@pytest.fixture
def environment(directory: Path) -> Iterator[lmdb.Environment]:
    """An empty environment."""
    opened = open_environment(directory / "log", IDENTITY)
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "lmdb"])
def log(request: pytest.FixtureRequest) -> LogStore | MemoryLog:
    """Both must keep the same contract, so that one may stand for the other."""
    if request.param == "memory":
        return MemoryLog()
    return LogStore(request.getfixturevalue("environment"))


def test_a_new_log_knows_nothing(log):
    """No term was seen, no vote given, no entry received."""
    assert log.load(0) == NOTHING


def test_what_was_written_is_loaded(log):
    """Hard state, base and entries of every kind come back as they were."""
    entries = [Entry(1, NOOP, b""), Entry(1, MEMBERSHIP, encode_membership(MEMBERS))]
    entries += entries_of(2, b"", b"put", b"\x00" * 5000)

    log.write(0, HardState(2, 3, 4), place(0, 0), 1, entries)

    assert log.load(0) == Loaded(HardState(2, 3, 4), place(0, 0), tuple(entries))


def test_a_conflict_replaces_everything_behind_it(log):
    """§5.3: what conflicts is dropped with all that follows, however much shorter the new end."""
    log.write(0, HARD_STATE, None, 1, entries_of(1, b"a", b"b", b"c", b"d"))

    log.write(0, HardState(2, 0, 1), None, 2, entries_of(2, b"B"))

    assert log.load(0).entries == (*entries_of(1, b"a"), *entries_of(2, b"B"))


def test_a_base_cuts_what_lies_before_it(log):
    """§7: entries up to the base are no longer loaded, and the base tells term and membership."""
    log.write(0, HARD_STATE, None, 1, entries_of(1, b"a", b"b", b"c"))

    log.write(0, HARD_STATE, place(2), 4, entries_of(1, b"d"))

    assert log.load(0) == Loaded(HARD_STATE, place(2), tuple(entries_of(1, b"c", b"d")))


def test_a_reset_leaves_only_the_snapshot(log):
    """Figure 13, step 7: the whole log is discarded, and goes on behind the snapshot."""
    log.write(0, HARD_STATE, None, 1, entries_of(1, b"a", b"b"))

    log.reset(0, HardState(7, 0, 50), place(50, 6))
    log.write(0, HardState(7, 0, 50), None, 51, entries_of(7, b"c"))

    expected = Loaded(HardState(7, 0, 50), place(50, 6), tuple(entries_of(7, b"c")))
    assert log.load(0) == expected


def test_groups_share_a_transaction_and_nothing_else(log):
    """DESIGN 5: one sync for all groups of a node; the log of one never touches another's."""
    log.write_all(
        [
            LogWrite(1, HARD_STATE, None, 1, entries_of(1, b"a", b"b")),
            LogWrite(0, HARD_STATE, None, 1, entries_of(1, b"c")),
            LogWrite(2, HARD_STATE, None, 1, entries_of(1, b"d")),
        ]
    )

    log.write(1, HARD_STATE, place(1), 2, entries_of(1, b"B"))
    log.reset(0, HARD_STATE, place(9))

    assert log.load(0).entries == ()
    assert log.load(1).entries == tuple(entries_of(1, b"B"))
    assert log.load(2).entries == tuple(entries_of(1, b"d"))


def test_a_log_with_a_gap_is_a_bug(log):
    """Entries must join what is there: a hole would be found only at the next start."""
    log.write(0, HARD_STATE, None, 1, entries_of(1, b"a"))

    with pytest.raises(AssertionError, match="gap"):
        log.write(0, HARD_STATE, None, 3, entries_of(1, b"c"))


@pytest.mark.parametrize("seed", range(20))
def test_any_writes_leave_what_a_list_would_hold(seed, environment):
    """Random appends, conflicts and cuts of three groups, loaded anew after each."""
    random = Random(seed)
    model, log = MemoryLog(), LogStore(environment)
    for _ in range(60):
        group = random.choice((0, 1, 7))
        write = next_write(model, random, group)
        model.write_all([write])
        log.write_all([write])
        assert LogStore(environment).load(group) == model.load(group)


def test_a_long_cut_is_spread_over_later_writes(environment, monkeypatch):
    """A write deletes no more than its share, and what is left over is not loaded."""
    monkeypatch.setattr(log_file, "DELETIONS_MIN", 3)
    log = LogStore(environment)
    log.write(0, HARD_STATE, None, 1, entries_of(1, *[b"x"] * 10))

    log.write(0, HARD_STATE, place(10), 11, ())
    after_one = entries_on_disk(environment)
    loaded = log.load(0)
    for _ in range(3):
        log.write(0, HARD_STATE, None, 11, ())

    assert (after_one, entries_on_disk(environment)) == (7, 0)
    assert loaded == Loaded(HARD_STATE, place(10), ())


def test_an_overwritten_end_never_comes_back(environment):
    """A conflict is not spread: after the write nothing of the old end is on the disk."""
    log = LogStore(environment)
    log.write(0, HARD_STATE, None, 1, entries_of(1, *[b"x"] * 3000))

    log.write(0, HardState(2, 0, 0), None, 1, entries_of(2, b"y"))

    assert entries_on_disk(environment) == 1


DAMAGE: dict[str, Callable[[bytes, bytes], tuple[bytes, bytes | None]]] = {
    "a flipped bit of the payload": lambda key, value: (key, value[:12] + b"!" + value[13:]),
    "a flipped bit of the term": lambda key, value: (key, b"\x01" + value[1:]),
    "a value cut short": lambda key, value: (key, value[:3]),
    "an entry lost": lambda key, _: (key, None),
    "an entry at another place": lambda key, value: (key[:-1] + b"\x04", value),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_entry_is_refused(damage, environment):
    """D6: damage inside the log is never cut off like a torn end; LMDB leaves no torn end."""
    log = LogStore(environment)
    log.write(0, HARD_STATE, None, 1, entries_of(1, b"one", b"two", b"three", b"four"))
    key = bytes(15) + b"\x02"

    with environment.begin(write=True) as txn:
        entries = environment.open_db(b"entries", txn)
        changed, value = damage(key, txn.get(key, db=entries))
        if value is None:
            txn.delete(changed, db=entries)
        else:
            txn.put(changed, value, db=entries)

    with pytest.raises(StorageRefused, match=r"entry [24] .*restore the directory"):
        log.load(0)


@pytest.mark.parametrize("name", [b"hard_state", b"base"])
def test_a_damaged_root_is_refused(name, environment):
    """D6: a vote or a base that does not match its checksum is not believed."""
    log = LogStore(environment)
    log.write(0, HARD_STATE, place(0, 0), 1, entries_of(1, b"one"))

    with environment.begin(write=True) as txn:
        raw = txn.get(name + bytes(8))
        txn.put(name + bytes(8), b"\x01" + raw[1:])

    with pytest.raises(StorageRefused, match="damaged"):
        log.load(0)


def test_entries_without_their_hard_state_are_refused(environment):
    """D1: term and vote were written with the entries; without them this server may vote twice."""
    log = LogStore(environment)
    log.write(0, HARD_STATE, None, 1, entries_of(1, b"one"))

    with environment.begin(write=True) as txn:
        txn.delete(b"hard_state" + bytes(8))

    with pytest.raises(StorageRefused, match="impossible term"):
        log.load(0)


def test_two_threads_write_in_turn(environment):
    """Raft's own thread and the LogWriter's do; a write is whole when the next one begins."""
    log = LogStore(environment)

    for index in range(1, 9):
        write = partial(log.write, 0, HARD_STATE, None, index, entries_of(1, b"%d" % index))
        thread = Thread(target=write)
        thread.start()
        thread.join()

    assert len(log.load(0).entries) == 8


def test_one_write_at_a_time(environment, monkeypatch):
    """LMDB would let the second one wait for the first, in one thread for ever."""
    log = LogStore(environment)
    monkeypatch.setattr(
        log_file, "_hard_state_row", lambda *_: log.write(0, HARD_STATE, None, 1, ())
    )

    with pytest.raises(AssertionError, match="two threads"):
        log.write(0, HARD_STATE, None, 1, ())


def test_what_takes_one_sync_and_little_else(environment):
    """A log that was not written yet, a conflict, a cut, and much at once take longer."""
    log = LogStore(environment)
    first = LogWrite(0, HARD_STATE, None, 1, entries_of(1, b"a"))
    assert not log.write_if_short(first)
    assert log.load(0).entries == (), "nothing was written"
    log.write_all([first])

    behind = LogWrite(0, HARD_STATE, None, 2, entries_of(1, b"b"))
    assert not log.write_if_short(behind._replace(first_index=1))
    assert not log.write_if_short(behind._replace(base=place(1)))
    assert not log.write_if_short(behind._replace(entries=entries_of(1, bytes(65_537))))
    assert log.load(0).entries == tuple(entries_of(1, b"a")), "nothing was written"
    assert log.write_if_short(behind._replace(entries=()))
    assert log.write_if_short(behind)
    assert log.load(0).entries == tuple(entries_of(1, b"a", b"b"))


@pytest.mark.parametrize("payloads", [1, 3])
def test_as_much_as_fits_into_a_tail_takes_one_sync(environment, monkeypatch, payloads):
    """To the byte: whoever asks before the write must hear what the write then does."""
    log = LogStore(environment)
    log.write(0, HARD_STATE, None, 1, entries_of(1, b"a"))
    room = TAIL_BYTES_MAX - 53 - 36 * payloads  # what a root and an entry take beside it
    share, rest = divmod(room, payloads)
    fitting = entries_of(1, bytes(share + rest), *[bytes(share)] * (payloads - 1))
    longer = entries_of(1, bytes(share + rest + 1), *[bytes(share)] * (payloads - 1))
    kept = []
    monkeypatch.setattr(log._tails, "put", lambda _, rows: kept.append(len(rows)))

    for first_index, entries in ((2, fitting), (2 + payloads, longer)):
        write = LogWrite(0, HARD_STATE, None, first_index, entries)
        if not log.write_if_short(write):
            assert entries is longer
            log.write_all([write])

    assert kept == [1 + payloads, 0]


def test_a_membership_in_the_base_survives(environment):
    """M4: the membership is kept with the log."""
    base = Snapshot(0, 0, MEMBERS._replace(learners=(4,), removed=(9,)))

    LogStore(environment).write(0, HARD_STATE, base, 1, ())

    assert LogStore(environment).load(0).base == base


def entries_on_disk(environment: lmdb.Environment) -> int:
    """How many there are, loaded or not."""
    with environment.begin() as txn:
        return txn.stat(environment.open_db(b"entries", txn, create=False))["entries"]
