"""What users and operators ask of the servers, at random times and often of the wrong one."""

from collections.abc import Callable
from itertools import count

from messages.raft import Membership
from raft import core
from raft.core import Action, Change
from raft.state import Proposed, Refusal
from verify.cluster import Cluster
from verify.server import Server
from verify.swarm import units_until


class Clients:
    """Wish as long as they are not told to stop."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._timeline = cluster.timeline
        self._random = cluster.timeline.random
        self._facts = cluster.timeline.facts
        self._numbers = count(1)
        self._stopped = False
        self._wishes: dict[str, Callable[[], None]] = {
            "propose": self._propose,
            "read": self._read,
            "transfer": self._transfer,
            "change": self._change,
            "forget_leader": self._forget_leader,
            "save": self._save,
        }

    def start(self) -> None:
        """From now on there are wishes."""
        for kind in self._timeline.swarm.wishes:
            self._timeline.after(self._until_next(kind), self._wish, kind)

    def stop(self) -> None:
        """No further wish comes by itself."""
        self._stopped = True

    def propose(self, server: Server, number: int) -> tuple[bytes, ...]:
        """Ask for so many new commands; the answer is those that were taken up, all or none."""
        padding = b"." * self._random.randint(0, self._timeline.swarm.payload_bytes)
        payloads = tuple(b"%d %s" % (next(self._numbers), padding) for _ in range(number))
        log = server.raft.log
        waiting = log.bytes_between(server.raft.last_applied, log.last_index)
        answer = server.ask(core.propose, payloads)
        self._facts["proposals"] += 1
        if not isinstance(answer, Proposed):
            self._facts[f"refused: {answer.value}"] += 1
            return ()
        size = sum(map(len, payloads))
        fits = not waiting or waiting + size <= server.raft.config.unapplied_bytes_max
        assert fits, "bounds: too much that is not applied"
        return payloads

    def read(self, server: Server) -> int:
        """Ask for a read index; answers of the server will have it under this number."""
        context = next(self._numbers)
        self._facts["reads"] += 1
        server.read(context, lease=self._random.random() < 0.8)
        return context

    def _wish(self, kind: str) -> None:
        if self._stopped:
            return
        if self._cluster.running():
            self._wishes[kind]()
        self._timeline.after(self._until_next(kind), self._wish, kind)

    def _until_next(self, kind: str) -> int:
        return units_until(self._random, self._timeline.swarm.wishes[kind])

    def _propose(self) -> None:
        self.propose(self._cluster.pick(leader=True), self._random.randint(1, 4))

    def _read(self) -> None:
        """Ask anyone, or all who believe that they lead: one of them may be wrong."""
        leaders = [server for server in self._cluster.running() if server.is_leader]
        anyone = [self._cluster.pick()]
        for server in leaders if self._random.random() < 0.7 else anyone:
            self.read(server)

    def _transfer(self) -> None:
        server = self._cluster.pick(leader=self._random.random() < 0.7)
        target = self._random.choice(sorted(self._cluster.disks))
        refusal = server.ask(core.transfer_leader, target)
        self._facts["transfers asked"] += refusal is None

    def _forget_leader(self) -> None:
        refusal = self._cluster.pick().ask(core.forget_leader)
        assert (refusal is Refusal.LEASE_READS) == self._timeline.swarm.config.lease_reads

    def _save(self) -> None:
        for server in self._cluster.running():
            if self._random.random() < 0.5:
                server.save()
        self._retire()

    def _retire(self) -> None:
        """Servers whose removal is committed are shut down at some time, or linger for ever."""
        _, membership = self._cluster.laws.history.memberships[-1]
        for server_id in membership.removed:
            outgoing = server_id in membership.outgoing
            if not outgoing and server_id % 2 and server_id not in self._cluster.retired:
                self._cluster.retire(server_id)

    def _change(self) -> None:
        server = self._cluster.pick(leader=True)
        changes = self._changes(server.raft.membership)
        before = self._cluster.laws.log_end(server.raft)
        if not changes:
            return
        answer = server.ask(core.propose_membership, changes)
        self._facts["changes asked"] += 1
        if isinstance(answer, Proposed):
            self._cluster.laws.on_change(server.raft, before)
        else:
            self._facts[f"refused: {answer.value}"] += 1

    def _changes(self, membership: Membership) -> list[Change]:
        """One change, or several at once."""
        number = self._random.choice((1, 1, 2, 3))
        drawn = [self._one_change(membership) for _ in range(number)]
        return [change for change in drawn if change is not None]

    def _one_change(self, membership: Membership) -> Change | None:
        random = self._random
        action = random.choice(
            (Action.ADD_LEARNER, Action.PROMOTE, Action.PROMOTE, Action.DEMOTE, Action.REMOVE)
        )
        if random.random() < 0.1:
            return Change(action, random.choice(sorted(self._cluster.disks)))  # fitting or not
        if action is Action.ADD_LEARNER:
            outside = set(self._cluster.disks) - membership.servers()
            known = sorted(outside) if random.random() < 0.3 else []
            server = random.choice(known) if known else self._cluster.spare()
            return Change(action, server) if server else None
        few = len(membership.voters) <= 2 and random.random() < 0.8
        those = membership.voters if action is Action.DEMOTE else membership.learners
        if action is Action.REMOVE:
            those = membership.voters + membership.learners
        if not those or (few and action is not Action.PROMOTE):
            return None
        return Change(action, random.choice(those))
