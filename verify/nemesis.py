"""Who lets the faults strike, each of its kind now and then, and ends them again."""

from collections.abc import Callable

from raft import core
from verify.cluster import Cluster
from verify.network import Link
from verify.server import Server
from verify.swarm import units_until
from verify.transcript import TICK


class Nemesis:
    """Strikes as long as it is not told to stop."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._timeline = cluster.timeline
        self._random = cluster.timeline.random
        self._stopped = False
        self._isolated_until = 0
        self._strikes: dict[str, Callable[[], None]] = {
            "crash": self._crash,
            "crash_all": self._crash_all,
            "pause": self._pause,
            "cut_link": self._cut_link,
            "cut_one_way": self._cut_one_way,
            "partition": self._partition,
            "isolate_leader": self._isolate_leader,
            "depose": self._depose,
            "stall_disk": self._stall_disk,
            "clock": self._clock,
            "abort_snapshot": self._abort_snapshot,
            "unreachable": self._unreachable,
        }

    def start(self) -> None:
        """From now on faults may strike."""
        for kind in self._timeline.swarm.strikes:
            self._timeline.after(self._until_next(kind), self._strike, kind)

    def stop(self) -> None:
        """No fault strikes any more; what has struck is not undone by this."""
        self._stopped = True

    def _strike(self, kind: str) -> None:
        if self._stopped:
            return
        if self._cluster.running():
            self._strikes[kind]()
            self._timeline.facts[f"strikes: {kind}"] += 1
        self._timeline.after(self._until_next(kind), self._strike, kind)

    def _until_next(self, kind: str) -> int:
        return units_until(self._random, self._timeline.swarm.strikes[kind])

    def _some_time(self) -> int:
        """How long a fault lasts: mostly about an election timeout, now and then much longer."""
        return units_until(self._random, self._random.choice((2, 10, 20, 50)))

    def _crash(self) -> None:
        """At once, or in the middle of its next duties."""
        victim = self._cluster.pick(leader=self._random.random() < 0.4)
        if self._random.random() < 0.4:
            victim.crash()
        else:
            victim.fuse = self._random.randint(1, 12)

    def _crash_all(self) -> None:
        for server in self._cluster.running():
            server.crash()

    def _pause(self) -> None:
        victim = self._cluster.pick(leader=self._random.random() < 0.4)
        victim.pause(in_turn=self._random.random() < 0.5)
        self._timeline.after(self._some_time(), lambda _: victim.resume())

    def _cut_link(self) -> None:
        one, other = self._pair()
        self._cut([(one, other), (other, one)], self._some_time())

    def _cut_one_way(self) -> None:
        self._cut([self._pair()], self._some_time())

    def _partition(self) -> None:
        ids = list(self._cluster.disks)
        self._random.shuffle(ids)
        size = self._random.randint(1, len(ids) - 1)
        self._separate(ids[:size], ids[size:], self._some_time())

    def _isolate_leader(self) -> None:
        """For about as long as the others need to elect another one, and perhaps they hurry."""
        if self._isolated_until > self._timeline.now:
            return
        victim = self._cluster.pick(leader=True)
        others = [other for other in self._cluster.disks if other != victim.server_id]
        units = 2 * TICK * self._random.randint(*self._timeline.swarm.config[:2])
        self._isolated_until = self._timeline.now + units
        malice = self._random.choice(
            (None, None, self._hand_over, self._turn_clocks, self._restart_rest)
        )
        if malice:
            malice(victim)
        self._separate([victim.server_id], others, units)

    def _hand_over(self, victim: Server) -> None:
        """It wishes another to lead, and will not hear what comes of it."""
        victim.ask(core.transfer_leader, self._random.choice(sorted(self._cluster.disks)))
        victim.act()

    def _turn_clocks(self, victim: Server) -> None:
        """Its lease lasts as long as it can, and the others are as impatient as they may be."""
        percent = self._timeline.swarm.clock_percent
        for server in self._cluster.running():
            wrong = percent if server is victim else -percent
            self._cluster.set_clock(server, TICK * (100 + wrong) // 100)

    def _restart_rest(self, victim: Server) -> None:
        """They forget whom they followed, but must not forget that it relies on them."""
        for server in self._cluster.running():
            if server is not victim:
                server.crash()

    def _depose(self) -> None:
        """Let a leader go on alone, and when it is back take away whoever leads instead.

        So logs part: the one behind may be the longer one, and both have to be told apart.
        """
        victim = self._cluster.pick(leader=True)
        others = [other for other in self._cluster.disks if other != victim.server_id]
        links = [(victim.server_id, other) for other in others]
        cut = self._cluster.network.cut(links + [(other, one) for one, other in links])
        self._timeline.note(victim.server_id, "is alone")
        alone = self._timeline.swarm.config.election_ticks_max * self._random.randint(1, 3)
        self._timeline.after(alone * TICK, self._bring_back, (cut, victim))

    def _bring_back(self, isolated: tuple[frozenset[Link], Server]) -> None:
        cut, victim = isolated
        self._mend(cut)
        leaders = [server for server in self._cluster.running() if server.is_leader]
        for server in leaders if not self._stopped else ():
            if server is not victim:
                server.crash()

    def _separate(self, ours: list[int], theirs: list[int], units: int) -> None:
        links = [(one, other) for one in ours for other in theirs]
        back = [(other, one) for one, other in links]
        self._cut(self._random.choice((links + back, links + back, links, back)), units)

    def _cut(self, links: list[Link], units: int) -> None:
        self._timeline.note(0, "cut:", links)
        cut = self._cluster.network.cut(links)
        self._timeline.after(units, self._mend, cut)

    def _mend(self, cut: frozenset[Link]) -> None:
        self._timeline.note(0, "mended:", sorted(cut))
        self._cluster.network.mend(cut)

    def _stall_disk(self) -> None:
        victim = self._cluster.pick(leader=self._random.random() < 0.4)
        self._timeline.note(victim.server_id, "its disk stalls")
        victim.writer.stalled_until = self._timeline.now + self._some_time()

    def _clock(self) -> None:
        self._cluster.set_clock(self._cluster.pick(), self._cluster.draw_clock())

    def _abort_snapshot(self) -> None:
        self._cluster.pick(leader=self._random.random() < 0.5).abort_snapshots()

    def _unreachable(self) -> None:
        self._cluster.report_unreachable()

    def _pair(self) -> tuple[int, int]:
        one, other = self._random.sample(sorted(self._cluster.disks), 2)
        return one, other
