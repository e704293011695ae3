"""A KVServer's brain with a dict for a store and a Raft that a test plays by hand."""

import pytest

from kv.about import About, Limits
from kv.machine import Machine
from kv.server import Server
from messages.client import PUT, ClientRequest, OpenSession, Operation, Reads, Writes
from messages.clientcodec import encode
from messages.local import AskRead, Committed, Propose, Proposed, ReadAt, RoleIs
from messages.raft import COMMAND, Entry, Membership, Snapshot

LEADER, FOLLOWER = RoleIs("leader", 1, 3), RoleIs("follower", 2, 3)
ABOUT = About("kvorum", 1, "node1", 4711, {1: "one:1", 2: "two:2"})
LIMITS = Limits(
    key_bytes_max=100,
    value_bytes_max=1_000,
    pending_bytes_max=5_000,
    client_frames_max=3,
    reads_max=3,
)


class DictStore(dict[bytes, bytes]):
    """What storage/state.py is to a machine."""

    put = dict.__setitem__


class Node:
    """A server's brain, and Raft played by hand: proposals lie in `log` until commit()."""

    def __init__(self, role=LEADER, limits=LIMITS, committed=0) -> None:
        self.store = DictStore()
        self.machine = Machine(self.store, Snapshot(0, 0, Membership((1, 2, 3))), b"")
        self.server = Server(ABOUT, limits, self.machine, committed)
        self.server.on_local(role)
        self.log: list[Propose] = []
        self.asked: list[AskRead] = []
        self.now_ms = 0
        self.term = 3

    def turn(self):
        """One turn of the loop: the replies, in order."""
        replies, to_raft = self.server.turn(self.now_ms)
        for message in to_raft:
            if isinstance(message, Propose):
                self.log.append(message)
            elif isinstance(message, AskRead):
                self.asked.append(message)
        return replies

    def says(self, client, *requests: ClientRequest):
        """A clerk sends these, and the turn ends."""
        for request in requests:
            self.server.on_frame(client, encode(request))
        return self.turn()

    def place(self):
        """Raft takes every proposal into its log."""
        first = self.machine.applied_index + 1
        for index, message in enumerate(self.log, first):
            self.server.on_local(Proposed(message.number, self.term, index))

    def commit(self, term=None):
        """Raft commits what lies in the log; the replies."""
        first = self.machine.applied_index + 1
        entries = [Entry(term or self.term, COMMAND, message.payload) for message in self.log]
        self.log.clear()
        self.server.on_local(Committed(first, tuple(entries)))
        return self.turn()

    def run(self, client, *requests: ClientRequest):
        """Send, place, commit: the replies."""
        replies = self.says(client, *requests)
        self.place()
        return replies + self.commit()

    def session(self, client=b"clerk"):
        """A session for that client."""
        ((_, opened),) = self.run(client, OpenSession(1))
        return opened.session

    def answer_reads(self, index):
        """Raft finds this index for every question."""
        for question in self.asked:
            self.server.on_local(ReadAt(question.context, index))
        self.asked.clear()
        return self.turn()


@pytest.fixture
def node():
    """A leader's node."""
    return Node()


@pytest.fixture
def follower():
    """A follower's node; node 2 leads."""
    return Node(FOLLOWER)


def put(session, number, key=b"k", value=b"v", below=1):
    """One put as a frame of its own."""
    return Writes(session, number, below, (Operation(PUT, key, value),))


def get(request_id, *keys: bytes, level=0):
    """One question."""
    return Reads(request_id, level, keys)
