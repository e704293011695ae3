"""The links of a cluster, as a test holds them: which are up, lossy, slow, or down."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]

UNRELIABLE: dict[str, Any] = {
    "lose": 0.1,
    "double": 0.05,
    "delay_s_max": 0.01,
    "hold": 0.1,
    "hold_s": 0.05,
}
"""The labs' unreliable network, and worse: it also doubles."""


class Carried(NamedTuple):
    """By a link, lost ones among them; handshakes are not counted."""

    messages: int
    bytes: int


def peer_link(source: int, target: int) -> str:
    """What carries one node's messages to another."""
    return f"{source}>{target}"


def client_link(node: int) -> str:
    """What carries clerks' messages to a node, and the answers."""
    return f"clerks>{node}"


class Links:
    """One process that carries everything between the nodes, and from clerks to them."""

    def __init__(self, peer_ports: Mapping[int, int], client_ports: Mapping[int, int]) -> None:
        pairs = list(permutations(peer_ports, 2))
        targets = [(peer_link(*pair), peer_ports[pair[1]]) for pair in pairs]
        targets += [(client_link(node), port) for node, port in client_ports.items()]
        self._nodes = tuple(peer_ports)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.proxy", json.dumps(targets)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ports: dict[str, int] = json.loads(self._read())

    def set(self, names: Iterable[str], **fault: object) -> None:
        """Give these links another fault; with nothing named they carry everything."""
        self._order(names, fault)

    def carried(self, names: Iterable[str]) -> dict[str, Carried]:
        """What each of these was given to carry so far."""
        return {name: Carried(*found) for name, found in self._order(names, None).items()}

    def among(self, nodes: Iterable[int]) -> list[str]:
        """The links between these nodes, both ways."""
        return [peer_link(*pair) for pair in permutations(nodes, 2)]

    def peers(self) -> list[str]:
        """Every link between nodes."""
        return self.among(self._nodes)

    def clients(self) -> list[str]:
        """Every link from clerks."""
        return [client_link(node) for node in self._nodes]

    def close(self) -> None:
        """End the process; it ends by itself when we do."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _order(
        self, names: Iterable[str], fault: dict[str, object] | None
    ) -> dict[str, tuple[int, int]]:
        assert self._process.stdin is not None
        order = {"links": list(names), "fault": fault}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        found: dict[str, tuple[int, int]] = json.loads(self._read())
        return found

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()
