"""A cluster for the time of a test: a temporary directory, free ports, and nobody left behind."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

from actors.addresses import nodes_at
from actors.asyncclerk import AsyncClerk
from actors.clerk import Clerk
from actors.clerkcalls import TIMEOUT_S
from actors.clerkerrors import KvorumError
from actors.status import ask_all, leadership
from launch.child import REFUSED_CODE
from launch.logs import log_of

LAUNCHER = Path(__file__).parent.parent / "launcher.py"
PORTS = range(20_000, 32_000, 10)  # below those that systems give to outgoing connections
ATTEMPTS_MAX = 10
LOOK_S = 0.05
END_S = 10.0


class ClusterFailed(Exception):  # noqa: N818 - named as StorageRefused is
    """The cluster did not start, or not in time; the sentence ends with what a node said last."""


class Cluster:
    """Nodes as subprocesses of this one; what they kept is gone when it stops.

    A node that is killed stays dead until it is started, unlike under the launcher.
    """

    def __init__(
        self, nodes: int = 3, *, config: Path | None = None, timeout: float = 30.0
    ) -> None:
        """Nodes: how many; config: a file whose other values count; timeout: to serve, seconds."""
        self._count = nodes
        self._config = config
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.directory = Path(tempfile.mkdtemp(prefix="kvorum-"))
        # The kernel ends a node with the thread that started it: this one lives as long as we do.
        self._starter = ThreadPoolExecutor(1, "cluster")
        self._end = weakref.finalize(
            self, _end, os.getpid(), self._processes, self._starter, self.directory
        )
        try:
            self._start_all(time.monotonic() + timeout)
        except BaseException:
            self.stop()
            raise

    @property
    def names(self) -> tuple[str, ...]:
        """Of the nodes: node1, node2, ..."""
        return tuple(self._processes)

    @property
    def endpoints(self) -> list[str]:
        """Where clerks find the nodes, host:port."""
        return [node.client for node in nodes_at(self._base_port, self._count)]

    def clerk(self, timeout: float = TIMEOUT_S) -> Clerk:
        """A new clerk; close it."""
        return Clerk(self.endpoints, timeout)

    def async_clerk(self, timeout: float = TIMEOUT_S) -> AsyncClerk:
        """A new clerk for asyncio; close it."""
        return AsyncClerk(self.endpoints, timeout)

    def leader(self, timeout: float = 10.0) -> str:
        """The name of the node that leads, as soon as one does; ClusterFailed if none does."""
        deadline = time.monotonic() + timeout
        named = dict(zip(self.names, self.endpoints, strict=True))
        while time.monotonic() < deadline:
            answers = ask_all(named, 0.2)
            found = leadership(answer.status for answer in answers.values()).leader
            if found:
                return found
        raise ClusterFailed(f"nobody leads within {timeout:g} s")

    def start(self, name: str) -> None:
        """Start a node that was killed or stopped."""
        self._check(name)
        if self._processes[name].poll() is not None:
            self._spawn(name)

    def stop_node(self, name: str) -> int:
        """Ask a node to stop, and wait until it has; its exit code."""
        self._signal(name, signal.SIGCONT)
        self._signal(name, signal.SIGTERM)
        return self._processes[name].wait(END_S)

    def kill(self, name: str) -> None:
        """End a node at once, as a crash would."""
        self._signal(name, signal.SIGKILL)
        self._processes[name].wait(END_S)

    def pause(self, name: str) -> None:
        """Let a node hang; it does when this returns. ValueError if it has ended."""
        self._signal(name, signal.SIGSTOP)
        if self._processes[name].poll() is not None:
            raise ValueError(f"{name} does not run: it cannot hang")
        os.waitid(os.P_PID, self._processes[name].pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self, name: str) -> None:
        """Let it go on."""
        self._signal(name, signal.SIGCONT)

    def log(self, name: str) -> str:
        """What a node has told so far."""
        self._check(name)
        return log_of(self.directory, name).read_text(errors="replace")

    def stop(self) -> None:
        """End all nodes and remove what they kept; calling it again does nothing."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_all(self, deadline: float) -> None:
        """On ports that are free now; if somebody else takes one meanwhile, on others."""
        for _ in range(ATTEMPTS_MAX):
            self._base_port = free_base_port(self._count)
            names = [node.name for node in nodes_at(self._base_port, self._count)]
            for name in names:
                self._spawn(name)
            if self._serves(deadline):
                return
            for name in names:
                self.kill(name)
        raise ClusterFailed("no ports could be had")

    def _serves(self, deadline: float) -> bool:
        """Whether it does, before long; False if a node was refused its port."""
        with Clerk(self.endpoints, timeout=1.0) as clerk:
            while True:
                ended = [name for name, process in self._processes.items() if process.poll()]
                if any(self._processes[name].poll() == REFUSED_CODE for name in ended):
                    if all("cannot listen" not in self.log(name) for name in ended):
                        raise ClusterFailed(f"{ended[0]} refused to start: {self._last(ended[0])}")
                    return False
                if ended:
                    raise ClusterFailed(f"{ended[0]} ended: {self._last(ended[0])}")
                with suppress(KvorumError):
                    clerk.get("ready?")
                    return True
                if time.monotonic() >= deadline:
                    raise ClusterFailed(f"it does not serve in time: {self._last('node1')}")

    def _spawn(self, name: str) -> None:
        command = [sys.executable, str(LAUNCHER), "node", name]
        command += ["--nodes", str(self._count), "--base-port", str(self._base_port)]
        command += ["--data", str(self.directory), "--supervisor", str(os.getpid())]
        command += ["--config", str(self._config)] if self._config else []
        self._processes[name] = self._starter.submit(
            _start, command, log_of(self.directory, name)
        ).result()

    def _signal(self, name: str, number: signal.Signals) -> None:
        self._check(name)
        self._processes[name].send_signal(number)

    def _check(self, name: str) -> None:
        if name not in self._processes:
            raise ValueError(f"no node is called {name}: there are {', '.join(self.names)}")

    def _last(self, name: str) -> str:
        lines = self.log(name).strip().splitlines()
        return lines[-1].removeprefix("kvorum: ") if lines else "it said nothing"


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as told:
        return subprocess.Popen(  # noqa: S603 - it is our own command
            command, stdin=subprocess.DEVNULL, stdout=told, stderr=told, start_new_session=True
        )


def _end(
    process: int,
    processes: dict[str, subprocess.Popen[bytes]],
    starter: ThreadPoolExecutor,
    directory: Path,
) -> None:
    """A fork of the process that made the cluster leaves it alone."""
    if process != os.getpid():
        return
    for child in processes.values():
        child.kill()
    for child in processes.values():
        child.wait()
    starter.shutdown()
    shutil.rmtree(directory, ignore_errors=True)


def free_base_port(count: int) -> int:
    """One with which all nodes find their ports free; at random, so that many may look at once."""
    bases = random.SystemRandom().sample(PORTS, 100)
    for base in bases:
        nodes = nodes_at(base, count)
        if all(_is_free(port) for node in nodes for port in (node.client_port, node.peer_port)):
            return base
    raise ClusterFailed("no ports could be had")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
