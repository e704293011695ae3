"""All servers of one world: who runs, who is down, who is yet to come, who is gone for good."""

from messages.raft import Membership, Message, Snapshot
from raft import core
from verify.disk import Disk
from verify.laws import Laws
from verify.network import Network
from verify.server import Server
from verify.swarm import SERVERS_MAX, calmed, units_until
from verify.timeline import Timeline
from verify.transcript import TICK


class Cluster:
    """Every disk there is, and the servers that run on some of them."""

    def __init__(self, timeline: Timeline) -> None:
        swarm = timeline.swarm
        self.timeline = timeline
        self.disks: dict[int, Disk] = {}
        voters = tuple(range(1, swarm.voters + 1))
        learners = tuple(range(swarm.voters + 1, swarm.voters + swarm.learners + 1))
        membership = Membership(voters, (), learners)
        self.laws = Laws(membership, self.disks, timeline.facts)
        self.network = Network(timeline, self._receive)
        self.servers: dict[int, Server] = {}  # that are alive
        self.retired: set[int] = set()
        self._clocks: dict[int, int] = {}
        for server_id in (*voters, *learners):
            self._add(server_id, membership)

    def running(self) -> list[Server]:
        """Those that could do something now."""
        return [server for server in self.servers.values() if not server.is_paused]

    def pick(self, *, leader: bool = False) -> Server:
        """One of those that run; one that believes it leads, if asked for and there is one."""
        running = self.running()
        leaders = [server for server in running if server.is_leader] if leader else []
        return self.timeline.random.choice(leaders or running)

    def spare(self) -> int | None:
        """A server that takes part in nothing yet; None when there are enough."""
        if len(self.disks) >= SERVERS_MAX:
            return None
        server_id = max(self.disks) + 1
        self._add(server_id, Membership())
        return server_id

    def retire(self, server_id: int) -> None:
        """Shut a removed server down for good."""
        self.retired.add(server_id)
        if server_id in self.servers:
            self.servers[server_id].crash()

    def draw_clock(self) -> int:
        """The length of one server's tick."""
        percent = self.timeline.swarm.clock_percent
        return TICK * (100 + self.timeline.random.randint(-percent, percent)) // 100

    def set_clock(self, server: Server, tick_units: int) -> None:
        """From its next tick on a server's clock runs at another rate."""
        server.tick_units = self._clocks[server.server_id] = tick_units
        self.timeline.note(server.server_id, "its clock now ticks every", tick_units)

    def report_unreachable(self) -> None:
        """Some server's driver believes that it lost a connection."""
        server = self.pick(leader=True)
        server.ask(core.unreachable, self.timeline.random.choice(sorted(self.disks)))

    def heal(self) -> None:
        """End every fault: all servers run that are not gone for good."""
        self.timeline.swarm = calmed(self.timeline.swarm)
        self.timeline.note(0, "all faults end")
        self.network.mend_all()
        for server in list(self.servers.values()):
            self.set_clock(server, self.draw_clock())
            server.heal()
        for server_id in self.disks:
            self._start(server_id)

    def lines(self) -> list[str]:
        """How every server stands, a line each."""
        return [
            str(self.servers[each]) if each in self.servers else f"S{each} is down"
            for each in self.disks
        ]

    def _add(self, server_id: int, membership: Membership) -> None:
        self.disks[server_id] = Disk(Snapshot(0, 0, membership))
        self._clocks[server_id] = self.draw_clock()
        self._start(server_id)

    def _start(self, server_id: object) -> None:
        assert isinstance(server_id, int)
        if server_id in self.servers or server_id in self.retired:
            return
        self.servers[server_id] = Server(
            self.timeline,
            self.network,
            self.laws,
            server_id,
            self.disks[server_id],
            self._clocks[server_id],
            self._on_crash,
        )

    def _on_crash(self, server: Server) -> None:
        del self.servers[server.server_id]
        self.timeline.facts["crashes"] += 1
        units = units_until(self.timeline.random, self.timeline.random.choice((1, 5, 15, 40)))
        self.timeline.after(units, self._start, server.server_id)

    def _receive(self, message: Message) -> None:
        server = self.servers.get(message.target)
        if server is not None:
            server.receive(message)
