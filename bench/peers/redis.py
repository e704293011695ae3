"""Redis as a benchmark runs it: one node alone, every write synced, driven by its own benchmark."""

import csv
import shutil
import socket
from functools import partial

from actors.addresses import NodeAddress
from bench.systems import Command, Failed, Load, System, until, words_of
from bench.tally import Line

NEEDED = "redis is left out: apt-get install redis-server"
PROGRAMS = ("redis-server", "redis-benchmark")
FASTEST_PER_S = 50_000
PER_CLIENT_PER_S = 5_000
"""About what it does here: its benchmark is told how much to do, not for how long."""


class Redis(System):
    """The upper reference: what one durable node does that replicates nothing."""

    name = "redis"

    def __init__(self) -> None:
        super().__init__(1)

    @staticmethod
    def why_not() -> str:
        """Why it cannot be run here, and what to do; empty if it can."""
        return "" if all(map(shutil.which, PROGRAMS)) else NEEDED

    @staticmethod
    def version() -> str:
        """As it says itself."""
        found = words_of("redis-server", "--version").partition("v=")[2].split()[0]
        return f"redis {found}, one node, not replicated"

    def command(self, node: NodeAddress) -> Command:
        """Durable by its append-only file alone."""
        options = {
            "port": node.client_port,
            "dir": self.kept(node),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
        }
        told = (str(word) for name, value in options.items() for word in (f"--{name}", value))
        return ["redis-server", *told]

    def load_command(self, load: Load, *, is_failing: bool = False) -> Command:
        """A connection of its own for each client; it knows no other way without pipelines."""
        if is_failing or load.op not in {"put", "get"}:
            raise Failed(f"redis is not asked for {load}")
        options = {
            "-p": self.nodes[0].client_port,
            "-t": {"put": "set", "get": "get"}[load.op],
            "-n": _operations(load),
            "-c": load.clients,
            "-d": load.value_bytes,
            "-r": load.keys,
        }
        told = [str(word) for option, value in options.items() for word in (option, value)]
        return ["redis-benchmark", "--csv", "--precision", "3", *told]

    def line_of(self, told: str, load: Load) -> Line:
        """Its one row."""
        row = next(csv.DictReader(told.splitlines()), None)
        if row is None:
            raise Failed(f"the load of redis failed; {self.last_words()}")
        line = {f"{which}_ms": float(row[f"{which}_latency_ms"]) for which in ("p50", "p99", "max")}
        return line | {"ops": _operations(load), "per_s": float(row["rps"]), "failed": 0}

    def leader(self) -> str:
        """There is but one."""
        return self.names[0]

    def wait_until_ready(self) -> None:
        """Until it takes connections."""
        until(partial(_listens, self.nodes[0]), "redis listens")


def _operations(load: Load) -> int:
    per_s = min(FASTEST_PER_S, PER_CLIENT_PER_S * load.clients)
    return load.total or int(load.seconds * per_s)


def _listens(node: NodeAddress) -> bool:
    try:
        socket.create_connection((node.host, node.client_port), 1.0).close()
    except OSError:
        return False
    return True
