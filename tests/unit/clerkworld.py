"""A small world for the clerk's brain: real servers and state machines, a Raft that is a list.

Messages are lost, late and out of order, leaders change and leave it open what becomes of their
proposals, servers refuse. Nothing is doubled on the way, as TCP does not; clerks do send again.
"""

from collections import defaultdict
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from kv.about import About, Limits
from kv.machine import Machine
from kv.outcomes import Failed, Ok, Outcome, Settled
from kv.readcalls import ReadCall
from kv.routing import Router
from kv.server import Server
from kv.sessions import SESSION_IDLE_MS
from messages.batch import Batch, encode_batch
from messages.client import APPEND, LINEARIZABLE, ClientReply, Operation
from messages.clientcodec import decode_reply, encode
from messages.local import (
    AskRead,
    Committed,
    ProposalRefused,
    Propose,
    Proposed,
    ReadAt,
    RoleIs,
    Space,
)
from messages.raft import COMMAND, NOOP, Entry, Membership, Snapshot

KEYS = (b"x", b"y")
NODES = (1, 2, 3)
STEP_S = 0.005
LIMITS = Limits(
    key_bytes_max=16,
    value_bytes_max=200,
    pending_bytes_max=600,
    client_frames_max=4,
    reads_max=4,
)


class DictStore(dict[bytes, bytes]):
    """Keys in memory."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value."""
        self[key] = value


class Proposal(NamedTuple):
    """What a leader has put into its log and its followers have not."""

    node: int
    number: int
    payload: bytes


class Group:
    """The servers, and what a Raft would agree on among them: a list, and who may add to it."""

    def __init__(self, random: Random) -> None:
        endpoints = {node: endpoint_of(node) for node in NODES}
        self.servers = {
            node: Server(
                About("world", node, f"node{node}", node, endpoints),
                LIMITS,
                Machine(DictStore(), Snapshot(0, 0, Membership(NODES)), b""),
                committed=0,
            )
            for node in NODES
        }
        self.leader = 0
        self.term = 0
        self.log: list[Entry] = []
        self._random = random
        self._proposals: list[Proposal] = []
        self._applied = dict.fromkeys(NODES, 0)
        self._reads: list[tuple[int, int, int]] = []  # node, context, index

    def change_leader(self, leader: int) -> None:
        """Some of what the old leader has proposed survives; 0: nobody leads."""
        self.commit(self._random.randint(0, len(self._proposals)))
        self._proposals.clear()
        self.leader = leader
        self.term += 1
        if leader:
            self.log.append(Entry(self.term, NOOP, b""))
        for node, server in self.servers.items():
            role = "leader" if node == leader else "follower"
            known = leader if node == leader or self._random.random() < 0.7 else 0
            server.on_local(RoleIs(role, known, self.term))

    def commit(self, count: int) -> None:
        """The first proposals are on a majority now."""
        for proposal in self._proposals[:count]:
            self.log.append(Entry(self.term, COMMAND, proposal.payload))
        del self._proposals[:count]

    def let_sessions_expire(self) -> None:
        """An idle hour passes in the log."""
        if self.leader and not self._proposals:
            for _ in range(SESSION_IDLE_MS // 60_000 * 2):
                self.log.append(Entry(self.term, COMMAND, encode_batch(Batch(60_000, ()))))

    def turn(self, node: int, now_ms: int) -> list[tuple[bytes, ClientReply]]:
        """One turn of a server and of its Raft."""
        server = self.servers[node]
        replies, to_raft = server.turn(now_ms)
        for message in to_raft:
            if isinstance(message, Propose):
                self._on_propose(node, message)
            elif isinstance(message, AskRead):
                index = len(self.log) if self.leader else None
                if self._random.random() < 0.1:
                    index = None
                server.on_local(ReadAt(message.context, index))
        return replies

    def apply(self, node: int, count: int) -> None:
        """The server hears of so many more entries."""
        first = self._applied[node] + 1
        entries = tuple(self.log[first - 1 : first - 1 + count])
        if entries:
            self._applied[node] += len(entries)
            self.servers[node].on_local(Committed(first, entries))

    def _on_propose(self, node: int, message: Propose) -> None:
        server = self.servers[node]
        if node != self.leader:
            server.on_local(ProposalRefused(message.number, "NOT_LEADER"))
        elif self._random.random() < 0.05:
            server.on_local(ProposalRefused(message.number, "OVERLOADED"))
        else:
            self._proposals.append(Proposal(node, message.number, message.payload))
            index = len(self.log) + len(self._proposals)
            server.on_local(Proposed(message.number, self.term, index))


class Token(NamedTuple):
    """One call, and what must be true of its answer."""

    clerk: int
    number: int
    key: bytes
    value: bytes  # nothing: it is a read
    floor: bytes  # of a read: every append that was acknowledged when it was asked


class World:
    """Clerks, their network, and what became of each call."""

    def __init__(self, seed: int, clerks: int = 2) -> None:
        self.random = Random(seed)
        self.now = 1_000.0
        self.group = Group(self.random)
        endpoints = [endpoint_of(node) for node in NODES]
        self.clerks = [Router(endpoints, self.random, self.now) for _ in range(clerks)]
        self.outcomes: dict[Token, Outcome] = {}
        self.tokens: list[Token] = []
        self.loss = self.random.choice((0.0, 0.02, 0.2))
        self.late_s = self.random.choice((0.0, 0.01, 0.5))
        self._on_way: list[tuple[float, Callable[[], None]]] = []
        self._acknowledged: dict[bytes, list[bytes]] = defaultdict(list)

    def write(self, clerk: int, timeout_s: float) -> None:
        """Append something that nobody else appends."""
        number = len(self.tokens)
        long = b"." * self.random.choice((0, 0, 0, 50, 150, 300))
        value = b"<%d.%d%s>" % (clerk, number, long)
        token = Token(clerk, number, self.random.choice(KEYS), value, b"")
        self.tokens.append(token)
        operation = Operation(APPEND, token.key, value)
        self.clerks[clerk].write(token, operation, self.now + timeout_s)

    def read(self, clerk: int, timeout_s: float) -> None:
        """Read, and remember what the answer must hold at least."""
        key = self.random.choice(KEYS)
        floor = b"".join(self._acknowledged[key])
        token = Token(clerk, len(self.tokens), key, b"", floor)
        self.tokens.append(token)
        call = ReadCall(token, key, self.now + timeout_s, b"")
        self.clerks[clerk].read(LINEARIZABLE, call)

    def step(self) -> None:
        """A moment passes: messages arrive, servers and clerks have their turns."""
        self.now += STEP_S
        arrived = [item for item in self._on_way if item[0] <= self.now]
        self._on_way = [item for item in self._on_way if item[0] > self.now]
        for _, arrive in sorted(arrived, key=lambda item: item[0]):
            arrive()
        for node in NODES:
            self.group.apply(node, self.random.randint(0, 3))
            for client, reply in self.group.turn(node, int(self.now * 1000)):
                self._reply(node, int(client), encode(reply))
        for clerk, router in enumerate(self.clerks):
            requests, settled = router.turn(self.now)
            self.settle(settled)
            for endpoint, request in requests:
                self._request(clerk, endpoint, encode(request))

    def chance(self) -> None:
        """Whatever may go wrong, now and then."""
        roll = self.random.random()
        if roll < 0.02:
            self.group.change_leader(self.random.choice((0, *NODES)))
        elif roll < 0.04:
            server = self.group.servers[self.random.choice(NODES)]
            server.on_local(Space(self.random.random() < 0.5))
        elif roll < 0.05:
            clerk = self.random.choice(self.clerks)
            clerk.on_unreachable(endpoint_of(self.random.choice(NODES)), self.now)
        elif roll < 0.052:
            self.group.let_sessions_expire()
        elif roll < 0.6:
            self.group.commit(1)

    def heal(self) -> None:
        """From now on everything works, at its pace."""
        self.loss, self.late_s = 0.0, 0.01
        for server in self.group.servers.values():
            server.on_local(Space(is_left=True))
        self.group.change_leader(self.random.choice(NODES))

    def settle(self, settled: list[Settled]) -> None:
        """Note what became of calls."""
        for token, outcome in settled:
            assert isinstance(token, Token)
            assert token not in self.outcomes
            self.outcomes[token] = outcome
            if token.value and isinstance(outcome, Ok):
                self._acknowledged[token.key].append(token.value)

    def final(self, key: bytes) -> bytes:
        """The value after the whole log."""
        for node in NODES:
            self.group.apply(node, len(self.group.log))
        values = {server.machine.store.get(key) for server in self.group.servers.values()}
        assert len(values) == 1, "the servers differ"
        return values.pop() or b""

    def _request(self, clerk: int, endpoint: str, frame: bytes) -> None:
        node = NODES[[endpoint_of(node) for node in NODES].index(endpoint)]
        server = self.group.servers[node]
        self._travel(lambda: server.on_frame(b"%d" % clerk, frame))

    def _reply(self, node: int, clerk: int, frame: bytes) -> None:
        router = self.clerks[clerk]
        reply = decode_reply(frame)
        self._travel(lambda: router.on_reply(endpoint_of(node), reply, self.now))

    def _travel(self, arrive: Callable[[], None]) -> None:
        if self.random.random() >= self.loss:
            late_s = self.random.uniform(0, self.late_s) if self.random.random() < 0.3 else 0.0
            self._on_way.append((self.now + late_s, arrive))


def endpoint_of(node: int) -> str:
    """Where a node is found."""
    return f"node{node}:7100"


def check(world: World) -> None:
    """Every acknowledged append is there once, in its clerk's order, and no failed one is (C1, C2).

    A read gives what was there at some moment between its question and its answer.
    """
    finals = {key: world.final(key) for key in KEYS}
    for token, outcome in world.outcomes.items():
        final = finals[token.key]
        if not token.value:
            if isinstance(outcome, Ok):
                assert outcome.value is not None and final.startswith(outcome.value)
                for part in _parts(token.floor):
                    assert part in _parts(outcome.value), "a read missed an acknowledged write"
            else:
                assert isinstance(outcome, Failed), "a read is never unknown"
            continue
        count = final.count(token.value)
        if isinstance(outcome, Ok):
            assert count == 1, f"{token} was acknowledged and executed {count} times"
        elif isinstance(outcome, Failed):
            assert count == 0, f"{token} is said to have failed and was executed"
        else:
            assert count <= 1, f"{token} was executed {count} times"
    for key in KEYS:
        for clerk in range(len(world.clerks)):
            numbers = [
                int(part.split(b".")[1])
                for part in _parts(finals[key])
                if part.startswith(b"%d." % clerk)
            ]
            assert numbers == sorted(numbers), "a clerk's writes changed places"


def _parts(value: bytes) -> list[bytes]:
    return [part.rstrip(b".") for part in value.strip(b"<>").split(b"><") if part]
