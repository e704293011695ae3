"""PySyncObj, the Raft library for Python, as a benchmark runs it: three nodes, leader driven."""

import importlib.util
import json
import sys
from importlib.metadata import version

from actors.addresses import NodeAddress
from bench.peers.pysyncnode import ask
from bench.systems import Command, Load, System, until

NEEDED = "pysyncobj is left out: pip install pysyncobj"


class PySyncObj(System):
    """With its journal, which it never syncs; its reads are local, so puts alone are compared."""

    name = "pysyncobj"
    ops = ("put",)

    @staticmethod
    def why_not() -> str:
        """Why it cannot be run here, and what to do; empty if it can."""
        return "" if importlib.util.find_spec("pysyncobj") else NEEDED

    @staticmethod
    def version() -> str:
        """As its package says."""
        return f"pysyncobj {version('pysyncobj')}, which never syncs its journal"

    def command(self, node: NodeAddress) -> Command:
        """A node that takes its load from inside, as its users would."""
        peers = [other.peer for other in self.nodes if other is not node]
        journal = str(self.kept(node) / "journal")
        port = str(node.client_port)
        return [sys.executable, "-m", "bench.peers.pysyncnode", port, journal, node.peer, *peers]

    def load_command(self, load: Load, *, is_failing: bool = False) -> Command:  # noqa: ARG002
        """Ask the leader to drive itself."""
        port = next(node.client_port for node in self.nodes if node.name == self.leader())
        question = json.dumps({"load": load._asdict()})
        return [sys.executable, "-m", "bench.peers.pysyncnode", str(port), question]

    def leader(self) -> str:
        """Who says so."""
        until(lambda: bool(self._leaders()), "a node of PySyncObj leads")
        return self._leaders()[0]

    def wait_until_ready(self) -> None:
        """Until somebody leads."""
        self.leader()

    def _leaders(self) -> list[str]:
        answers = {node.name: ask(node.client_port, {"leads": True}) for node in self.nodes}
        return [name for name, answer in answers.items() if answer.get("leads")]
