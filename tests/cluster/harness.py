"""Real clusters for tests: a subprocess a node, LMDB on a disk, sockets, signals, and bad links.

Each node has a configuration of its own, in which the others' ports are those of the links to them.
Nothing here waits a fixed time, and nothing outlives its test: a node dies with the thread that
started it, so start them from the test's own thread.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TypeVar

import yaml

from actors.status import ask_all
from messages.client import Status
from tests.cluster.links import ROOT, Links, client_link, peer_link

HOST = "127.0.0.1"
DEADLINE_S = 60.0
"""For what takes a moment: a machine that does much else must not fail a test."""

CALM = {"election_timeout_ms_min": 1000, "election_timeout_ms_max": 2000}
"""For claims about a leader that stays: on a busy machine the default elects now and then."""

LOOK_S = 0.01
TRACE_LINES = 40
ASK_S = 1.0

PORTS = range(10_000, 19_900, 32)
"""Blocks of ports, below those that the kernel gives to whoever connects."""

ONE_NODE = "tests.cluster.one_node"

Found = TypeVar("Found")


def until(
    condition: Callable[[], Found], seconds: float = DEADLINE_S, what: str = "", *, ok: bool = False
) -> Found:
    """Wait for something true and return it; after the deadline fail, or with ok return it too."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            assert ok, f"not within {seconds:g} s: {what or condition}"
            return found
        pause(LOOK_S)
    return found


def stays(condition: Callable[[], object], seconds: float, what: str = "") -> None:
    """See that it holds, and goes on to hold for so long; that something never happens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition(), f"no longer: {what or condition}"
        pause(LOOK_S)


def pause(seconds: float) -> None:
    """Between two looks."""
    threading.Event().wait(seconds)


class Ports:
    """A block of ports of our own, as long as its first one is held."""

    def __init__(self) -> None:
        blocks = list(PORTS)
        Random(os.getpid() ^ time.monotonic_ns()).shuffle(blocks)
        for base in blocks:
            self._guard = socket.socket()
            try:
                self._guard.bind((HOST, base))
                self._guard.listen()
            except OSError:
                self._guard.close()
                continue
            self._free = iter(range(base + 1, base + PORTS.step))
            return
        raise AssertionError("no port is free")

    def take(self) -> int:
        """One that nobody listens at."""
        for port in self._free:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with suppress(OSError):
                    probe.bind((HOST, port))
                    return port
        raise AssertionError("the block is used up")

    def close(self) -> None:
        """Let others have them."""
        self._guard.close()


class Node:
    """One node: where it is, and the process that it is at the moment."""

    def __init__(self, node_id: int, ports: Ports) -> None:
        self.node_id = node_id
        self.name = f"node{node_id}"
        self.client_port = ports.take()
        self.peer_port = ports.take()
        self.process: subprocess.Popen[bytes] | None = None
        self.is_paused = False

    @property
    def endpoint(self) -> str:
        """Its own client port, with no link before it."""
        return f"{HOST}:{self.client_port}"

    @property
    def pid(self) -> int:
        """Of its process, which must run."""
        assert self.process is not None
        return self.process.pid

    def is_running(self) -> bool:
        """Whether there is a process, paused or not."""
        return self.process is not None and self.process.poll() is None

    def send_signal(self, number: signal.Signals) -> None:
        """To its process."""
        assert self.process is not None
        self.process.send_signal(number)
        if number in (signal.SIGSTOP, signal.SIGCONT):
            self.is_paused = number == signal.SIGSTOP

    def wait(self, seconds: float = DEADLINE_S) -> int:
        """Its exit code, once it has ended."""
        assert self.process is not None
        return self.process.wait(seconds)


class Cluster:
    """Some nodes and the links between them."""

    def __init__(
        self, directory: Path, nodes: int = 3, module: str = ONE_NODE, **settings: object
    ) -> None:
        """Start nothing yet; a module is what runs a node, settings are keys of config.yaml."""
        self.directory = directory
        self._module = module
        self._settings = settings
        self._ports = Ports()
        self.nodes = {at: Node(at, self._ports) for at in range(1, nodes + 1)}
        self.ids = tuple(self.nodes)
        self.weather: dict[str, object] = {}
        self.links = Links(
            {at: node.peer_port for at, node in self.nodes.items()},
            {at: node.client_port for at, node in self.nodes.items()},
        )
        for at in self.ids:
            self.config_file(at).write_text(yaml.safe_dump(self._config(at)))

    def config_file(self, at: int) -> Path:
        """What that node reads."""
        return self.directory / f"{self.nodes[at].name}.yaml"

    def log_file(self, at: int) -> Path:
        """What that node has told, over all its lives."""
        return self.directory / f"{self.nodes[at].name}.log"

    def data(self, at: int) -> Path:
        """That node's own directory."""
        return self.directory / self.nodes[at].name

    def start(self, *ids: int) -> None:
        """Start these nodes, or all that do not run."""
        for at in ids or self.ids:
            node = self.nodes[at]
            if node.is_running():
                continue
            command = [sys.executable, "-m", self._module, node.name]
            command += [str(self.config_file(at)), str(self.directory), str(os.getpid())]
            with self.log_file(at).open("ab") as log:
                node.process = subprocess.Popen(
                    command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=log
                )
            node.is_paused = False

    def kill(self, *ids: int) -> None:
        """SIGKILL, and wait until they are gone; no id: all."""
        running = [self.nodes[at] for at in ids or self.ids if self.nodes[at].is_running()]
        for node in running:
            node.send_signal(signal.SIGKILL)
        for node in running:
            node.wait()

    def restart(self, *ids: int) -> None:
        """Kill and start these, or all at once."""
        self.kill(*ids)
        self.start(*ids)

    def stop(self, *ids: int) -> list[int]:
        """SIGTERM; the exit codes."""
        running = [self.nodes[at] for at in ids or self.ids if self.nodes[at].is_running()]
        for node in running:
            node.send_signal(signal.SIGTERM)
        return [node.wait() for node in running]

    def pause(self, at: int) -> None:
        """SIGSTOP."""
        self.nodes[at].send_signal(signal.SIGSTOP)

    def resume(self, at: int) -> None:
        """SIGCONT."""
        self.nodes[at].send_signal(signal.SIGCONT)

    def alive(self) -> list[int]:
        """Nodes that could answer."""
        return [at for at, node in self.nodes.items() if node.is_running() and not node.is_paused]

    def statuses(self, ids: Iterable[int] | None = None) -> dict[int, Status]:
        """What these nodes say of themselves now, by id."""
        names = {self.nodes[at].name: at for at in (self.alive() if ids is None else ids)}
        answers = ask_all({name: self.nodes[at].endpoint for name, at in names.items()}, ASK_S)
        return {names[name]: answer.status for name, answer in answers.items()}

    def leader(self, among: Iterable[int] | None = None, *, not_term: int = -1) -> int:
        """Who leads in the latest term, once one of these does, or nodes that could answer."""
        return until(lambda: self._leader_now(among, not_term), what="somebody leads")

    def has_leader(self, among: Iterable[int] | None = None) -> bool:
        """Whether one of these leads at this moment."""
        return self._leader_now(among, -1) != 0

    def _leader_now(self, among: Iterable[int] | None, not_term: int) -> int:
        assert not self.ended(), self.failures()
        statuses = self.statuses(among)
        term = max((status.term for status in statuses.values()), default=0)
        for at, status in statuses.items():
            if status.role == "leader" and status.term == term != not_term:
                return at
        return 0

    def followers(self) -> list[int]:
        """All but the leader."""
        leader = self.leader()
        return [at for at in self.ids if at != leader]

    def term(self) -> int:
        """The latest one known."""
        return max(status.term for status in self.statuses().values())

    def caught_up(self, *ids: int) -> int:
        """Wait until these nodes, or all, have applied the same, all there is; the index."""

        def index() -> int:
            assert not self.ended(), self.failures()
            statuses = self.statuses(ids or None)
            marks = {status.last_index for status in statuses.values()}
            marks |= {status.applied_index for status in statuses.values()}
            return marks.pop() if len(marks) == 1 and len(statuses) == len(ids or self.ids) else 0

        return until(index, what=f"caught up: {self.statuses(ids or None)}")

    def part(self, *parts: Collection[int]) -> None:
        """Let no message pass between these parts; nodes in none of them are alone."""
        groups = [set(part) for part in parts]
        open_links = {name for group in groups for name in self.links.among(group)}
        self.links.set(set(self.links.peers()) - open_links, state="lossy")
        self.links.set(open_links, **self.weather)

    def cut_off(self, *ids: int) -> None:
        """Each of these nodes hears nobody and is heard by nobody."""
        self.part([at for at in self.ids if at not in ids])

    def split(self, chance: Random) -> list[int]:
        """Two parts drawn at random; the larger one."""
        shuffled = chance.sample(self.ids, len(self.ids))
        cut = chance.randrange(len(shuffled) // 2 + 1)
        self.part(shuffled[:cut], shuffled[cut:])
        return shuffled[cut:]

    def one_way(self, source: int, target: int) -> None:
        """What source says no longer reaches target."""
        self.links.set([peer_link(source, target)], state="lossy")

    def heal(self) -> None:
        """All links carry again, in the weather that is."""
        self.links.set(self.links.peers(), **self.weather)

    def unreliable(self, **fault: object) -> None:
        """From now on every link between nodes is like this, those that are cut aside."""
        self.weather = fault
        self.heal()

    def endpoints(self, ids: Iterable[int] | None = None) -> list[str]:
        """Where clerks find these nodes: through the links to them."""
        chosen = self.ids if ids is None else ids
        return [f"{HOST}:{self.links.ports[client_link(at)]}" for at in chosen]

    def told(self, at: int, what: str) -> bool:
        """Whether that node has written this into its log."""
        return what in self.log_file(at).read_text()

    def ended(self) -> list[str]:
        """Nodes that ended, and neither cleanly nor by SIGKILL."""
        return [
            f"{node.name} ended with {node.process.returncode}"
            for node in self.nodes.values()
            if node.process and node.process.poll() not in (None, 0, -signal.SIGKILL)
        ]

    def failures(self) -> list[str]:
        """Nodes that ended so, and what the logs tell of a bug of ours."""
        logs = [self.log_file(at) for at in self.ids if self.log_file(at).exists()]
        return self.ended() + [found for log in logs for found in traces(log.read_text())]

    def close(self) -> None:
        """Kill whatever is left."""
        for node in self.nodes.values():
            if node.process is not None:
                node.process.kill()
                node.process.wait()
        self.links.close()
        self._ports.close()

    def forget(self) -> None:
        """Remove what the nodes kept."""
        for at in self.ids:
            shutil.rmtree(self.data(at), ignore_errors=True)

    def _config(self, at: int) -> dict[str, object]:
        nodes = [
            {
                "name": node.name,
                "id": other,
                "host": HOST,
                "client_port": self._seen_from(at, other, client_link(other), node.client_port),
                "peer_port": self._seen_from(at, other, peer_link(at, other), node.peer_port),
            }
            for other, node in self.nodes.items()
        ]
        return {"nodes": nodes, **self._settings}

    def _seen_from(self, at: int, other: int, link: str, port: int) -> int:
        return port if at == other else self.links.ports[link]


def resident_bytes(pid: int) -> int:
    """What of a process is in memory, the files that it maps aside."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))


def traces(log: str) -> Iterator[str]:
    """What a log tells of exceptions."""
    lines = log.splitlines()
    for place, line in enumerate(lines):
        if "actor failed" in line or (place == 0 and "Traceback" in line):
            yield "\n".join(lines[place : place + TRACE_LINES])
