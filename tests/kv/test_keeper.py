"""kv/keeper.py: what is made durable when, and in which order Raft hears of it."""

from functools import partial

import pytest

from kv.keeper import FlushAt, Keeper, load_machine
from kv.machine import Machine
from kv.server import Server
from messages.local import (
    Applied,
    Committed,
    FlushState,
    Handover,
    InstallState,
    ReadChunk,
    RoleIs,
    Staged,
    StateFlushed,
    StateInstalled,
    StateSaved,
)
from messages.raft import NOOP, Entry, InstallSnapshot, Membership, Snapshot
from tests.kv.conftest import ABOUT, LEADER, LIMITS
from verify.nodestore import Durable, StateDisk, Store

MEMBERS = Membership((1, 2, 3))
FLUSH_AT = FlushAt(bytes_max=1_000, keys_max=3, age_s_max=5.0)
CHUNK = InstallSnapshot(0, 1, 2, 3, 9, 3, MEMBERS, 0, b"", done=True)


class Shop:
    """A keeper, with its Raft and its StateWriter played by hand."""

    def __init__(self) -> None:
        self.disk = StateDisk()
        self.store = Store(self.disk)
        load = partial(load_machine, Machine, self.store, Snapshot(0, 0, MEMBERS))
        server = Server(ABOUT, LIMITS, load(), committed=0)
        self.keeper = Keeper(server, self.store, load, FLUSH_AT, now=0.0)

    def applies(self, through):
        """Raft commits so many entries, and this turn's word of it leaves."""
        first = self.keeper.server.machine.applied_index + 1
        entries = (Entry(3, NOOP, b""),) * (through + 1 - first)
        self.keeper.on_raft(Committed(first, entries))
        self.turn()

    def turn(self):
        """What leaves for Raft and for the StateWriter."""
        to_raft, to_state_writer, _ = self.keeper.turn(now_ms=0)
        return [found for found in to_raft if not isinstance(found, Applied)], to_state_writer

    def ages(self):
        """So long passes that a flush is due."""
        self.keeper.freeze_if_due(FLUSH_AT.age_s_max)
        return self.turn()

    def install(self, index):
        """The StateWriter makes a staged snapshot the state."""
        self.disk.install(Durable(Snapshot(index, 3, MEMBERS), b"", installed=True, values={}))


@pytest.fixture
def shop():
    """One whose state is as the log began."""
    return Shop()


def test_raft_hears_of_a_flush_when_it_is_durable(shop):
    """D11: what it may cut from the log is what the state holds after a crash."""
    shop.applies(through=5)

    assert shop.ages() == ([], [FlushState()])
    shop.store.flush()
    shop.keeper.on_state_writer(StateFlushed())
    assert shop.turn() == ([StateSaved(5)], [])


def test_a_flush_is_due_when_there_is_much(shop):
    """By number and by bytes, long before it is old."""
    for name, value in ((b"a", b""), (b"b", b""), (b"c", b"")):
        shop.keeper.freeze_if_due(0.0)
        assert shop.turn()[1] == []
        shop.store.put(name, value)
    shop.applies(through=1)

    shop.keeper.freeze_if_due(0.0)
    assert shop.turn()[1] == [FlushState()]

    shop.store.flush()
    shop.keeper.on_state_writer(StateFlushed())
    shop.store.put(b"long", bytes(FLUSH_AT.bytes_max))
    shop.applies(through=2)
    shop.keeper.freeze_if_due(0.0)
    assert shop.turn()[1] == [FlushState()]


def test_a_flush_is_due_when_the_log_is_long(shop):
    """One key overwritten for ever is little to flush, and all of it to keep and to replay."""
    entry = Entry(3, NOOP, bytes(FLUSH_AT.bytes_max // 2))
    shop.keeper.on_raft(Committed(1, (entry,)))
    shop.keeper.freeze_if_due(0.0)
    assert shop.turn()[1] == []

    shop.keeper.on_raft(Committed(2, (entry,)))
    shop.keeper.freeze_if_due(0.0)
    assert shop.turn()[1] == [FlushState()]

    shop.store.flush()
    shop.keeper.on_state_writer(StateFlushed())
    shop.keeper.on_raft(Committed(3, (entry,)))
    shop.keeper.freeze_if_due(0.0)
    assert shop.turn()[1] == [], "it counts anew"


def test_nothing_is_flushed_twice_at_a_time_or_for_nothing(shop):
    """While one memtable is being flushed the next one grows."""
    assert shop.ages() == ([], [])
    shop.applies(through=1)
    assert shop.ages()[1] == []  # it was looked at just now
    shop.keeper.freeze_if_due(2 * FLUSH_AT.age_s_max)
    shop.applies(through=2)
    shop.keeper.freeze_if_due(3 * FLUSH_AT.age_s_max)

    assert shop.turn()[1] == []


def test_of_a_snapshot_raft_hears_only_that_it_is_installed(shop):
    """Figure 13: its log is reset behind it first; StateSaved would name what it never applied.

    The flush was frozen before the snapshot was adopted, and is answered after it.
    """
    shop.applies(through=5)
    shop.keeper.on_raft(InstallState(Snapshot(9, 3, MEMBERS)))
    assert shop.ages()[1] == [InstallState(Snapshot(9, 3, MEMBERS)), FlushState()]

    shop.install(9)
    shop.keeper.on_state_writer(StateInstalled(9))
    shop.store.flush()
    shop.keeper.on_state_writer(StateFlushed())

    assert shop.turn()[0] == [StateInstalled(9)]
    assert shop.keeper.server.machine.applied_index == 9


def test_a_flush_that_a_snapshot_overtook_is_not_told(shop):
    """The snapshot is on disk when the flush is answered, and nobody knows of it yet."""
    shop.applies(through=5)
    shop.ages()

    shop.install(9)
    shop.store.flush()
    shop.keeper.on_state_writer(StateFlushed())
    assert shop.turn()[0] == []
    assert shop.keeper.server.machine.applied_index == 5

    shop.keeper.on_state_writer(StateInstalled(9))
    assert shop.turn()[0] == [StateInstalled(9)]


def test_snapshots_pass_through_in_both_directions(shop):
    """Raft's wishes reach the StateWriter behind what was frozen; its answers reach Raft as is."""
    shop.keeper.on_raft(ReadChunk(CHUNK))
    shop.keeper.on_state_writer(Staged(2, 9, 100))

    assert shop.turn() == ([Staged(2, 9, 100)], [ReadChunk(CHUNK)])


def test_who_stops_brings_leadership_and_state_into_safe_hands(shop):
    """Then it may go; a restart finds nothing to apply again."""
    shop.keeper.on_raft(LEADER)
    shop.applies(through=1)

    shop.keeper.stop()

    assert shop.turn() == ([Handover(0)], [FlushState()])
    shop.store.flush()
    shop.keeper.on_state_writer(StateFlushed())
    assert not shop.keeper.is_safe, "it still leads"
    shop.keeper.on_raft(RoleIs("follower", 2, 4))
    assert shop.keeper.is_safe
