"""Whatever arrives, in whatever state: no server falls over, and what is committed stays."""

from random import Random

import pytest

from messages.codec import decode, encode
from messages.raft import COMMAND, Entry, Message
from raft import core
from raft.core import Action, Change
from raft.state import Config, Proposed, Role
from tests.network import Server
from tests.unit.absurd import FALSE, absurd

EVENTS = 2_000
HEAL_TICKS = 200


@pytest.mark.parametrize("seed", range(20))
def test_nothing_that_decodes_harms_a_group(seed):
    """C5, D8: honest messages late, lost, twice and out of order, absurd ones among them."""
    group = Group(Random(seed))

    for _ in range(EVENTS):
        group.something_happens()

    group.check_committed(anew=True)


@pytest.mark.parametrize("seed", range(6))
def test_a_group_recovers_from_whatever_arrived(seed):
    """§5.6: when messages arrive again and nobody talks nonsense, commands commit everywhere."""
    group = Group(Random(seed))
    for _ in range(EVENTS):
        group.something_happens()

    group.heal()

    taking_part = [server for server in group.servers if server.server_id in group.membership()]
    assert {server.raft.commit_index for server in taking_part} == {max(group.committed)}


class Restless(Server):
    """A server whose driver knows a false snapshot when it has all of it."""

    truth: dict[int, Entry]

    @property
    def staged_is_sound(self) -> bool:  # type: ignore[override]
        """Whether the staged bytes are the state at that index, with the membership there."""
        assert self.raft.receiving is not None
        last, term, membership = self.raft.receiving.snapshot
        if last not in self.truth or membership == FALSE:
            return False
        return self.truth[last].term == term and self.staged == state_at(self.truth, last)


class Group:
    """Three servers and a newcomer, and everything that can happen to them."""

    def __init__(self, random: Random) -> None:
        self.random = random
        config = Config(
            election_ticks_min=6,
            election_ticks_max=12,
            heartbeat_ticks=2,
            log_trailing_entries=random.choice((0, 5)),
            log_behind_bytes_max=random.choice((100, 10_000)),
            inflight_messages_max=random.choice((1, 3, 64)),
            append_bytes_max=random.choice((1, 60, 10_000)),
            snapshot_window_bytes=random.choice((5, 1_000)),
            snapshot_retry_ticks=3,
            disk_stall_ticks_max=20,
            pre_vote=random.random() < 0.7,
            check_quorum=random.random() < 0.7,
        )
        self.committed: dict[int, Entry] = {}
        self.checked: dict[int, tuple[int, int, int]] = {}
        self.servers = [
            *(Restless(server_id, config=config) for server_id in (1, 2, 3)),
            Restless(4, voters=(), config=config),
        ]
        for server in self.servers:
            server.chunk_bytes = random.choice((3, 1_000))
            server.truth = self.committed
        self.under_way: list[Message] = []
        self.events = {
            self._deliver: 100,
            self._lose: 4,
            self._tick: 15,
            self._propose: 24,
            self._speak_nonsense: 20,
            self._read: 2,
            self._change: 3,
            self._transfer: 1,
            self._save: 3,
            self._crash: 1,
            self._hold: 2,
            self._write: 30,
        }

    def something_happens(self) -> None:
        """One event, anywhere."""
        (event,) = self.random.choices([*self.events], [*self.events.values()])
        event(self.random.choice(self.servers))
        self._collect()

    def heal(self) -> None:
        """Everything works again; a command must get through."""
        for server in self.servers:
            server.disk_held = False
            if server.writing:
                server.finish_write()
        for number in range(HEAL_TICKS):
            for server in self.servers:
                server.tick()
                if number == HEAL_TICKS // 2 and server.raft.role is Role.LEADER:
                    assert isinstance(server.do(core.propose, (b"!",)), Proposed)
            self._collect()
            while self.under_way:
                self._hear(self.under_way.pop(0))
                self._collect()
        assert Entry(self.servers[0].raft.current_term, COMMAND, b"!") in self.committed.values()

    def membership(self) -> set[int]:
        """Everyone who takes part, as the server that knows most of it says."""
        return max(
            self.servers, key=lambda server: server.raft.commit_index
        ).raft.membership.servers()

    def check_committed(self, *, anew: bool = False) -> None:
        """§5.4.3: no two servers ever commit different entries at one index, nor apply them."""
        for server in self.servers:
            raft, marks = server.raft, (server.lives, server.raft.commit_index, len(server.state))
            if self.checked.get(server.server_id) == marks and not anew:
                continue
            self.checked[server.server_id] = marks
            for index in range(raft.log.truncated_index + 1, raft.commit_index + 1):
                entry = raft.log.entry_at(index)
                assert self.committed.setdefault(index, entry) == entry
            assert server.state == state_at(self.committed, raft.last_applied)

    def _collect(self) -> None:
        for server in self.servers:
            self.under_way += server.outbox
            server.outbox.clear()
        self.check_committed()

    def _deliver(self, _: Server) -> None:
        if self.under_way:
            place = self.random.randrange(len(self.under_way))
            self._hear(self.under_way[place])
            if self.random.random() < 0.95:
                del self.under_way[place]

    def _hear(self, message: Message) -> None:
        for server in self.servers:
            if server.server_id == message.target:
                server.do(core.step, message)

    def _lose(self, _: Server) -> None:
        if self.under_way:
            del self.under_way[self.random.randrange(len(self.under_way))]

    def _speak_nonsense(self, server: Server) -> None:
        term_max = max(other.raft.current_term for other in self.servers)
        message = absurd(server.raft, term_max, self.random)
        assert decode(encode(message)) == message, "nonsense, but well-formed"
        server.do(core.step, message)

    def _tick(self, server: Server) -> None:
        server.tick(self.random.choice((1, 1, 5)))

    def _propose(self, server: Server) -> None:
        payloads = [bytes(self.random.randrange(97, 122) for _ in range(self.random.randrange(9)))]
        server.do(core.propose, payloads * self.random.choice((1, 3)))

    def _read(self, server: Server) -> None:
        server.do(core.read, 1)

    def _change(self, server: Server) -> None:
        wishes = [
            Change(self.random.choice((Action.ADD_LEARNER, Action.PROMOTE, Action.DEMOTE)), at)
            for at in self.random.sample((1, 2, 3, 4), self.random.choice((1, 2)))
        ]
        server.do(core.propose_membership, wishes)

    def _transfer(self, server: Server) -> None:
        server.do(core.transfer_leader, self.random.choice((1, 2, 3, 4)))

    def _save(self, server: Server) -> None:
        server.save()

    def _crash(self, server: Server) -> None:
        server.restart()

    def _hold(self, server: Server) -> None:
        server.disk_held = True

    def _write(self, server: Server) -> None:
        if server.writing:
            server.finish_write()
        server.disk_held = self.random.random() < 0.3


def state_at(committed: dict[int, Entry], last: int) -> bytes:
    """What a state holds that has applied the committed entries up to last."""
    entries = [committed[index] for index in range(1, last + 1)]
    return b"".join(entry.payload for entry in entries if entry.kind == COMMAND)
