"""messages/localcodec.py: what the actors of a node say survives the way between their threads."""

import pytest

from messages import local
from messages.localcodec import TYPES, decode, encode
from messages.raft import (
    COMMAND,
    NOOP,
    Entry,
    HardState,
    InstallSnapshot,
    Membership,
    Snapshot,
)

MEMBERSHIP = Membership((1, 2), (3,), (4,), (), (5,))
SNAPSHOT = Snapshot(7, 2, MEMBERSHIP)
CHUNK = InstallSnapshot(0, 1, 2, 3, *SNAPSHOT, 9, b"data", done=True)
ENTRIES = (Entry(1, NOOP, b""), Entry(2, COMMAND, b"x"))

MESSAGES = [
    local.Propose(1, b"batch"),
    local.Proposed(1, 2, 3),
    local.ProposalRefused(1, "OVERLOADED"),
    local.Committed(5, ENTRIES),
    local.Applied(6),
    local.StateSaved(6),
    local.AskRead(8, lease=True),
    local.ReadAt(8, None),
    local.RoleIs("leader", 1, 2),
    local.AskMarks(),
    local.Marks(1, 2, 3, (("writes", 4),)),
    local.Handover(0),
    local.ReadChunk(CHUNK),
    local.ChunkRead(CHUNK),
    local.SnapshotUnavailable(3),
    local.StageChunk(CHUNK),
    local.StagingFailed(1, 7),
    local.InstallState(SNAPSHOT),
    local.StateInstalled(7),
    local.WriteLog(1, HardState(1, 2, 3), None, SNAPSHOT, 4, ENTRIES),
    local.WriteLog(2, HardState(1, 2, 3), SNAPSHOT, None, 4, ()),
    local.Written(1, 250_000),
    local.Space(is_left=False),
    local.Staged(1, 7, 13),
    local.FlushState(),
    local.StateFlushed(),
]


def test_every_message_is_tried_here():
    """A type that is added is added here too."""
    assert {type(message) for message in MESSAGES} == set(TYPES)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda found: type(found).__name__)
def test_a_message_survives_its_bytes(message):
    """Down to the types inside: both ends reason about entries and memberships, not tuples."""
    assert repr(decode(encode([message]))) == repr([message])


def test_a_turn_is_one_frame_in_order():
    """All messages of a turn to one actor arrive together, as they were said."""
    assert decode(encode(MESSAGES)) == MESSAGES
