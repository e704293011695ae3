"""All nodes of one world: who runs, who is down, and how each stands."""

from collections import Counter

from messages.raft import Membership, Message, Snapshot
from verify.calls import Calls
from verify.lines import Lines
from verify.network import Network
from verify.node import Ground, Node
from verify.nodelaws import NodeLaws
from verify.nodeswarm import Plan, calmed_plan
from verify.nodewriters import NodeDisk
from verify.swarm import calmed, units_until
from verify.timeline import Timeline
from verify.transcript import TICK


class Nodes:
    """Every disk there is, and the nodes that run on some of them."""

    def __init__(self, timeline: Timeline, plan: Plan, keys: list[bytes]) -> None:
        self.timeline = timeline
        self.facts: Counter[str] = timeline.facts
        self.calls = Calls(timeline.facts, repeats=plan.duplicate > 0)
        self.laws = NodeLaws(keys, self.calls, timeline.facts)
        self.network = Network(timeline, self._receive)
        self.wires = Lines(timeline, plan)
        self.servers: dict[int, Node] = {}  # that are alive
        self.ground = Ground(timeline, self.network, self.wires, self.laws, self._is_up)
        voters = tuple(range(1, timeline.swarm.voters + 1))
        founders = Snapshot(0, 0, Membership(voters))
        self.disks = {node: NodeDisk(founders) for node in voters}
        self._clocks = {node: self.draw_clock() for node in voters}
        for node in voters:
            self._start(node)

    def running(self) -> list[Node]:
        """Those that could do something now."""
        return [node for node in self.servers.values() if not node.is_paused]

    def pick(self, *, leader: bool = False) -> Node:
        """One of those that run; one that believes it leads, if asked for and there is one."""
        running = self.running()
        leaders = [node for node in running if node.is_leader] if leader else []
        return self.timeline.random.choice(leaders or running)

    def draw_clock(self) -> int:
        """The length of one node's tick."""
        percent = self.timeline.swarm.clock_percent
        return TICK * (100 + self.timeline.random.randint(-percent, percent)) // 100

    def set_clock(self, node: Node, tick_units: int) -> None:
        """From its next tick on a node's clock runs at another rate."""
        node.tick_units = self._clocks[node.number] = tick_units

    def report_unreachable(self) -> None:
        """Some node believes that it lost a connection."""
        self.pick(leader=True).lose_line(self.timeline.random.choice(sorted(self.disks)))

    def heal(self) -> None:
        """End every fault: all nodes run, on disks that are well."""
        self.timeline.swarm = calmed(self.timeline.swarm)
        self.wires.plan = calmed_plan(self.wires.plan)
        self.timeline.note(0, "all faults end")
        self.network.mend_all()
        self.wires.mend_all()
        for disk in self.disks.values():
            disk.is_full, disk.stalled_until = False, 0
        for node in list(self.servers.values()):
            self.set_clock(node, self.draw_clock())
            node.fuse = 0
            node.resume()
        for number in self.disks:
            self._start(number)

    def lines(self) -> list[str]:
        """How every node stands, a line each."""
        return [
            str(self.servers[each]) if each in self.servers else f"S{each} is down"
            for each in self.disks
        ]

    def _start(self, number: object) -> None:
        assert isinstance(number, int)
        if number not in self.servers:
            disk, clock = self.disks[number], self._clocks[number]
            node = Node(self.ground, number, disk, clock, self._on_crash)
            self.servers[number] = self.wires.nodes[number] = node

    def _on_crash(self, node: Node) -> None:
        del self.servers[node.number], self.wires.nodes[node.number]
        self.facts["crashes"] += 1
        units = units_until(self.timeline.random, self.timeline.random.choice((1, 5, 15, 40)))
        self.timeline.after(units, self._start, node.number)

    def _is_up(self, number: int) -> bool:
        return number in self.servers

    def _receive(self, message: Message) -> None:
        node = self.servers.get(message.target)
        if node is not None:
            node.receive(message)
