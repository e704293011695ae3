"""A throw-away place for a cluster of fake nodes, and its user's command line."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import launcher

FAKE = Path(__file__).with_name("fake_launcher.py")
DEADLINE_S = 20.0
OFFSETS = (*range(1, 6), *range(101, 106))

_bases = count(20_000 + 1_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), 10)


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for it, but not for ever."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what}"
        threading.Event().wait(0.02)


def free_base_port() -> int:
    """One with which five nodes find their ports free."""
    return next(base for base in _bases if all(is_free(base + offset) for offset in OFFSETS))


def is_free(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Ground:
    """Where one cluster lives, and the command line as its user has it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.base_port = free_base_port()
        self.up_arguments = ("--data", str(data), "--base-port", str(self.base_port))

    def run(self, verb: str, *arguments: str) -> int:
        """In this process, as quick as can be."""
        return launcher.main([verb, *arguments, "--data", str(self.data)])

    def up(self, *arguments: str, nodes: int = 1) -> int:
        """In the background; one node is enough for most tests, and quick."""
        count = ("--nodes", str(nodes))
        return launcher.main(["up", "--detach", *self.up_arguments, *count, *arguments])

    def spawn(self, *arguments: str) -> subprocess.Popen[str]:
        """In a process of its own."""
        command = [sys.executable, str(FAKE), *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)

    def tell(self, name: str, does: str) -> None:
        """Set what a fake node does when it starts."""
        self.data.mkdir(exist_ok=True)
        (self.data / f"{name}.does").write_text(does)

    def log(self, name: str = "launcher") -> str:
        """What it has told so far."""
        file = self.data / f"{name}.log"
        return file.read_text() if file.exists() else ""

    def processes(self) -> list[int]:
        """Every process that has this place in its command line, zombies not counted."""
        return [
            int(process.name)
            for process in Path("/proc").iterdir()
            if process.name.isdigit() and str(self.data) in command_line(process)
        ]


def command_line(process: Path) -> str:
    """Empty for one that has ended."""
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
