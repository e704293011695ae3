"""Once all faults end: every call ends, the nodes serve again, agree, and owe nobody anything."""

from collections.abc import Callable

from messages.client import LINEARIZABLE, Reads, Values
from messages.clientcodec import decode_reply, encode
from verify.calls import Call
from verify.clerks import Clerks, is_done
from verify.nodes import Nodes
from verify.transcript import TICK

TICKS_MAX = 4_000
"""40 s: a clerk that had bad luck often waits twice as long each time before it asks again."""

PROBER = 0
"""The clerk that asks each node itself."""


class Prober:
    """Reads every key at one node, again and again until it is answered."""

    def __init__(self, nodes: Nodes, keys: list[bytes]) -> None:
        self.values: dict[bytes, bytes] | None = None
        self._nodes = nodes
        self._keys = keys
        self._number = 0
        nodes.wires.clerks[PROBER] = self

    def ask(self, node: int) -> None:
        """A new question."""
        self.values = None
        self._number += 1
        question = Reads(self._number, LINEARIZABLE, tuple(self._keys))
        self._nodes.wires.to_node(f"C{PROBER}.1", node, encode(question))

    def on_frame(self, _: str, __: int, frame: bytes) -> None:
        """A node answered, perhaps an earlier question."""
        reply = decode_reply(frame)
        if isinstance(reply, Values) and reply.request_id == self._number:
            found = zip(self._keys, reply.values, strict=True)
            self.values = {key: value for key, value in found if value is not None}

    def on_absent(self, _: str, __: int) -> None:
        """It is asked again anyway."""


class NodeHealing:
    """The last phase of a world; whatever does not come about in time is a broken law."""

    def __init__(
        self, nodes: Nodes, clerks: Clerks, keys: list[bytes], settling_units: int
    ) -> None:
        self._settling = settling_units
        self._nodes = nodes
        self._clerks = clerks
        self._keys = keys
        self._timeline = nodes.timeline

    def run(self) -> None:
        """Ask for everything that nodes promise."""
        for clerk in self._clerks.all:
            clerk.resume()
        self._timeline.run(self._settling)
        self._wait("end of all calls", lambda: not self._nodes.calls.pending)
        asked = self._clerks.ask_everything()
        self._wait("end of the last calls", lambda: not self._nodes.calls.pending)
        self._check_done(asked)
        self._wait("equal logs and states", self._are_equal)
        self._read_everywhere()
        self._wait("end of all that nodes owe", self._owe_nothing)
        self._nodes.calls.check()

    def _wait(self, what: str, comes_about: Callable[[], object]) -> None:
        for _ in range(TICKS_MAX):
            if comes_about():
                return
            self._timeline.run(TICK)
        raise AssertionError(f"liveness: no {what} within {TICKS_MAX} ticks")

    def _check_done(self, asked: list[Call]) -> None:
        for call in asked:
            assert is_done(call), f"liveness: {call} ended as {call.outcome}, though all was well"

    def _are_equal(self) -> bool:
        """Equal indexes: that the states are equal there is checked whenever one is come to."""
        last = self._nodes.laws.last_index
        nodes = self._nodes.servers.values()
        return all(
            node.server.machine.applied_index == node.driver.raft.log.last_index == last
            and node.driver.raft.leader_id
            for node in nodes
        )

    def _owe_nothing(self) -> bool:
        """Nothing that waited for an answer was forgotten."""
        return not any(any(node.server.backlog) for node in self._nodes.servers.values())

    def _read_everywhere(self) -> None:
        """No write that was acknowledged is lost, whomever one asks."""
        prober = Prober(self._nodes, self._keys)
        for node in self._nodes.disks:
            ticks = 0

            def comes_about(node: int = node) -> bool:
                nonlocal ticks
                ticks += 1
                if prober.values is None and ticks % 20 == 1:
                    prober.ask(node)
                return prober.values is not None

            prober.values = None
            self._wait(f"answer of S{node}", comes_about)
            assert prober.values == self._nodes.calls.values, f"state: S{node} lost something"
