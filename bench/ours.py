"""Kvorum as a benchmark runs it, from this tree or from another one."""

import os
import sys
from pathlib import Path
from subprocess import CalledProcessError

from actors.addresses import NodeAddress
from actors.status import ask_all, leadership
from bench.systems import Command, Load, System, until, words_of

HERE = Path(__file__).parent.parent

PROCESS_CLIENTS = 32
"""A process of clients for so many, up to one a core: a process in Python runs on one core at a
time, and etcd's load in Go on all."""


class Kvorum(System):
    """Nodes as its launcher starts them, in their default configuration."""

    name = "kvorum"
    afterwork_s = 6.0  # its state goes to disk after 5 s (flush_ms) at the latest

    def __init__(self, count: int = 3, tree: Path = HERE, name: str = "kvorum") -> None:
        self.name = name
        self._tree = tree
        super().__init__(count)

    @property
    def folder(self) -> Path:
        """A tree is driven by its own clerk."""
        return self._tree

    def command(self, node: NodeAddress) -> Command:
        """The launcher's verb for a supervisor."""
        command = [sys.executable, str(self._tree / "launcher.py"), "node", node.name]
        command += ["--nodes", str(len(self.nodes)), "--data", str(self.directory)]
        command += ["--base-port", str(self.nodes[0].client_port - 1)]
        return [*command, "--supervisor", str(os.getpid())]

    def load_command(self, load: Load, *, is_failing: bool = False) -> Command:  # noqa: ARG002
        """The public clerk finds the leader by itself."""
        endpoints = (node.client for node in self.nodes)
        processes = max(1, min(load.clients // PROCESS_CLIENTS, load.conns, os.cpu_count() or 1))
        command = [sys.executable, "-m", "bench.load", "--processes", str(processes)]
        return [*command, *load.arguments(endpoints)]

    def leader(self) -> str:
        """Whom the nodes name."""
        found = ""

        def look() -> bool:
            nonlocal found
            answers = ask_all({node.name: node.client for node in self.nodes}, 0.5)
            found = leadership(answer.status for answer in answers.values()).leader or ""
            return bool(found)

        until(look, "somebody leads")
        return found


def commit_of(tree: Path) -> str:
    """The commit that a tree stands at, and whether it was changed since."""
    try:
        return words_of("git", "-C", str(tree), "describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, CalledProcessError):
        return "of unknown commit"
