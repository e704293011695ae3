"""The wires between clerks and nodes: late, lossy, cut, now and then repeating what they carry.

A frame for a node that is not there is lost, and its clerk may hear of that.
"""

from typing import Protocol

from verify.nodeswarm import Plan
from verify.timeline import Timeline

Line = tuple[int, int]
"""A clerk and a node; both ways are cut together."""


class Hears(Protocol):
    """A clerk, as its wires see it."""

    def on_frame(self, name: str, node: int, frame: bytes) -> None:
        """A node said something to that life of the clerk."""

    def on_absent(self, name: str, node: int) -> None:
        """There is no connection to that node now."""


class Serves(Protocol):
    """A node, as its wires see it."""

    def on_client(self, client: bytes, frame: bytes) -> None:
        """A clerk said something."""


class Lines:
    """Takes frames, and hands over what arrives; a life of clerk 3 is called C3.7."""

    def __init__(self, timeline: Timeline, plan: Plan) -> None:
        self.plan = plan
        self.clerks: dict[int, Hears] = {}
        self.nodes: dict[int, Serves] = {}  # that are alive
        self._timeline = timeline
        self._random = timeline.random.random
        self._cuts: list[Line] = []
        self._last_arrival: dict[tuple[str, int, bool], int] = {}

    def to_node(self, name: str, node: int, frame: bytes) -> None:
        """A clerk speaks."""
        self._send(name, node, frame, is_up=True)

    def to_clerk(self, node: int, client: bytes, frame: bytes) -> None:
        """A node answers."""
        self._send(client.decode(), node, frame, is_up=False)

    def cut(self, line: Line) -> None:
        """Nothing passes any more."""
        self._cuts.append(line)

    def mend(self, line: Line) -> None:
        """One cut of that line is over."""
        if line in self._cuts:
            self._cuts.remove(line)

    def mend_all(self) -> None:
        """All cuts are over."""
        self._cuts.clear()

    def _send(self, name: str, node: int, frame: bytes, *, is_up: bool) -> None:
        swarm, facts, random = self._timeline.swarm, self._timeline.facts, self._random
        facts["frames"] += 1
        cut = bool(self._cuts) and (number_of(name), node) in self._cuts
        if cut or (swarm.loss and random() < swarm.loss):
            facts["lost frames"] += 1
            return
        self._dispatch(name, node, frame, is_up=is_up)
        if self.plan.duplicate and random() < self.plan.duplicate:
            facts["repeated frames"] += 1
            self._dispatch(name, node, frame, is_up=is_up)

    def _dispatch(self, name: str, node: int, frame: bytes, *, is_up: bool) -> None:
        swarm, random, now = self._timeline.swarm, self._random, self._timeline.now
        delay = swarm.delay_units + int(random() * swarm.delay_spread_units)
        if swarm.straggler and random() < swarm.straggler:
            delay *= 10
        line = (name, node, is_up)
        if swarm.in_order:
            arrival = max(now + delay, self._last_arrival.get(line, 0))
            self._last_arrival[line] = arrival
            delay = arrival - now
        self._timeline.after(delay, self._arrive, (*line, frame))

    def _arrive(self, arrived: tuple[str, int, bool, bytes]) -> None:
        name, number, is_up, frame = arrived
        clerk = self.clerks[number_of(name)]
        if not is_up:
            clerk.on_frame(name, number, frame)
            return
        node = self.nodes.get(number)
        if node is not None:
            node.on_client(name.encode(), frame)
        elif self._random() < self.plan.notices:
            clerk.on_absent(name, number)


def number_of(name: str) -> int:
    """The clerk that a life belongs to."""
    return int(name[1:].partition(".")[0])
