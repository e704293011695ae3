"""Liveness: once all faults end, the servers must find together, serve, and end up the same."""

from collections.abc import Callable

from messages.raft import NOBODY
from raft import core
from raft.state import Role
from verify.clients import Clients
from verify.cluster import Cluster
from verify.server import Server
from verify.transcript import TICK


class Healing:
    """The last phase of a world; whatever does not come about in time is a broken law."""

    def __init__(self, cluster: Cluster, clients: Clients, settling_units: int) -> None:
        self._settling = settling_units
        self._cluster = cluster
        self._clients = clients
        self._timeline = cluster.timeline
        self._history = cluster.laws.history

    def run(self) -> None:
        """End all faults, then ask for everything that the servers promise."""
        for server in self._cluster.servers.values():
            server.save()
        self._timeline.run(self._settling)
        leader = self._wait_for_leader()
        term = leader.raft.current_term
        self._wait_until_equal(self._propose())
        self._read_everywhere()
        now = self._wait_for_leader().raft.current_term
        assert now == term, f"liveness: term {term} was disturbed, though all was well"
        if self._transfer():
            self._wait_until_equal(self._propose())

    def _wait(self, what: str, comes_about: Callable[[], object]) -> None:
        """Let time pass until it has come about; what is slow by configuration gets more of it."""
        ticks_max = 40 * self._timeline.swarm.config.election_ticks_max
        ticks_max += 4 * self._history.last_index
        for _ in range(ticks_max):
            if comes_about():
                return
            self._timeline.run(TICK)
        raise AssertionError(f"liveness: no {what} within {ticks_max} ticks")

    def _wait_for_leader(self) -> Server:
        found: list[Server] = []

        def comes_about() -> bool:
            found[:] = [server for server in self._cluster.running() if self._leads_all(server)]
            return bool(found)

        self._wait("leader whom all follow, out of any joint membership", comes_about)
        return found[0]

    def _leads_all(self, server: Server) -> bool:
        """Whether it will go on to lead: a membership that is not committed may still end that."""
        raft = server.raft
        if raft.role is not Role.LEADER or raft.server_id not in raft.membership.voters:
            return False
        if raft.membership.outgoing or raft.memberships[-1][0] > raft.commit_index:
            return False
        if raft.log.term_at(raft.commit_index) != raft.current_term:
            return False
        # Who does not know of a removal yet may still listen to the removed server.
        known_at = raft.memberships[-1][0]
        return all(
            other.raft.current_term == raft.current_term
            and other.raft.leader_id == server.server_id
            and other.raft.commit_index >= known_at
            for other in self._members(server)
        )

    def _members(self, leader: Server) -> list[Server]:
        return [self._cluster.servers[each] for each in sorted(leader.raft.membership.servers())]

    def _propose(self) -> list[bytes]:
        """Have a few commands taken up."""
        taken: list[bytes] = []

        def comes_about() -> bool:
            taken.extend(self._clients.propose(self._wait_for_leader(), 2))
            return len(taken) >= 6

        self._wait("room for new commands", comes_about)
        return taken

    def _wait_until_equal(self, payloads: list[bytes]) -> None:
        """Everything proposed commits, and all logs and states become the same."""
        leader = self._wait_for_leader()
        committed = self._history.payloads
        self._wait("commit of all commands", lambda: committed.issuperset(payloads))
        self._wait("end of applying", lambda: self._are_equal(self._members(leader)))
        for server in self._members(leader):
            self._check_same_log(server, leader)

    def _are_equal(self, members: list[Server]) -> bool:
        last = self._history.last_index
        return all(
            server.service.state.last_applied == server.raft.log.last_index == last
            for server in members
        )

    def _check_same_log(self, server: Server, leader: Server) -> None:
        ours, theirs = server.raft.log, leader.raft.log
        first = max(ours.truncated_index, theirs.truncated_index) + 1
        last = ours.last_index
        assert ours.between(first, last) == theirs.between(first, last), "liveness: logs differ"
        assert server.service.state == leader.service.state, "liveness: states differ"

    def _read_everywhere(self) -> None:
        for server in self._members(self._wait_for_leader()):
            asked: list[int] = []

            def comes_about(server: Server = server, asked: list[int] = asked) -> bool:
                if not any(server.service.is_waiting(context) for context in asked):
                    asked.append(self._clients.read(server))
                return any(context in server.service.answers for context in asked)

            self._wait("answer to a read", comes_about)

    def _transfer(self) -> bool:
        """Let another voter take over, if there is one."""
        leader = self._wait_for_leader()
        others = [each for each in leader.raft.membership.voters if each != leader.server_id]
        if not others:
            return False
        target = self._timeline.random.choice(others)

        def comes_about() -> bool:
            now = self._wait_for_leader()
            if now.server_id == target:
                return True
            if now.raft.transferee == NOBODY:
                now.ask(core.transfer_leader, target)
            return False

        self._wait("end of a transfer", comes_about)
        return True
