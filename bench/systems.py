"""What a benchmark runs: a store of some nodes on this machine, its load, and what it uses up."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

from actors.addresses import NodeAddress, nodes_at
from bench.tally import Line
from launch.throwaway import free_base_port

END_S = 10.0
START_S = 30.0
SPARE_S = 60.0
LOOK_S = 0.02
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

LEASH = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
"""What is started so ends with this process, however that ends."""

ENVIRONMENT = {name: os.environ[name] for name in os.environ if name != "PYTHONDONTWRITEBYTECODE"}
"""Nodes start as they do for users: their modules were compiled before."""

Command = list[str]


class Load(NamedTuple):
    """What a store is asked to do."""

    op: str
    clients: int
    conns: int
    value_bytes: int
    keys: int
    total: int = 0  # or, if 0:
    seconds: float = 0.0
    timeout_s: float = 30.0
    read_level: str = "linearizable"

    def arguments(self, endpoints: Iterable[str]) -> Command:
        """As bench.load and the peers' loads understand them."""
        length = ["--total", self.total] if self.total else ["--seconds", self.seconds]
        told = [
            *("--json", "--op", self.op, *length),
            *("--clients", self.clients, "--conns", self.conns),
            *("--value-bytes", self.value_bytes, "--keys", self.keys),
            *("--timeout", self.timeout_s, "--read-level", self.read_level),
            *("--endpoints", ",".join(endpoints)),
        ]
        return [str(word) for word in told]


class Failed(Exception):  # noqa: N818 - named as ClusterFailed is
    """A store or its load did not do what it should; a sentence says what."""


class System(ABC):
    """A store on this machine; what it kept is gone when it is closed."""

    name = ""
    ops: tuple[str, ...] = ("put", "get")  # that it can be asked for
    needs_retries = False
    """Whether its clients wait longer than need be, if no short deadline makes them try again."""
    afterwork_s = 0.0
    """So long after a write it may still have to do for it what would disturb others."""

    def __init__(self, count: int = 3) -> None:
        self.nodes = nodes_at(free_base_port(count), count)
        self.names = tuple(node.name for node in self.nodes)
        self._kept = tempfile.TemporaryDirectory(prefix=f"bench-{self.name}-")
        self.directory = Path(self._kept.name)
        for node in self.nodes:
            self.kept(node).mkdir(mode=0o700)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._written_at = float("-inf")

    @abstractmethod
    def command(self, node: NodeAddress) -> Command:
        """What starts a node; what it keeps goes where kept() says."""

    @abstractmethod
    def load_command(self, load: Load, *, is_failing: bool = False) -> Command:
        """What drives it; is_failing: nodes die meanwhile, so every node is to be asked."""

    @abstractmethod
    def leader(self) -> str:
        """The name of the node that leads."""

    @property
    def folder(self) -> Path | None:
        """Where its load is run; None: here."""
        return None

    def kept(self, node: NodeAddress) -> Path:
        """The directory of what a node keeps."""
        return self.directory / node.name

    def line_of(self, told: str, load: Load) -> Line:  # noqa: ARG002 - others need to know it
        """What its load printed."""
        try:
            line: Line = json.loads(told)
        except ValueError:
            raise Failed(f"the load of {self.name} failed; {self.last_words()}") from None
        return line

    def start_all(self) -> None:
        """Start every node that does not run."""
        for node in self.nodes:
            self.start(node)

    def start(self, node: NodeAddress) -> None:
        """Start a node."""
        with (self.directory / f"{node.name}.log").open("ab") as told:
            self._processes[node.name] = subprocess.Popen(  # noqa: S603 - one of ours, or Debian's
                LEASH + self.command(node),
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
            )

    def wait_until_ready(self) -> None:
        """Until a write succeeds."""
        self.run(Load("put", 1, 1, 16, 1, total=1, timeout_s=START_S))

    def run(self, load: Load) -> Line:
        """Drive it; the line of the load, with what the nodes spent on it."""
        before, within_s = self.cpu_s(), load.seconds + load.total / 100 + SPARE_S
        with self.driven(load) as process:
            try:
                told, _ = process.communicate(timeout=within_s)
            except subprocess.TimeoutExpired:
                raise Failed(f"the load of {self.name} did not end in {within_s:g} s") from None
        if load.op != "get":
            self._written_at = time.monotonic()
        line = self.line_of(told, load)
        per_10k = 1e4 / max(1, line["ops"])
        line["cpu_s_per_10k"] = (self.cpu_s() - before) * per_10k
        if "client_cpu_s" in line:
            line["client_cpu_s_per_10k"] = line["client_cpu_s"] * per_10k
        return line

    @contextmanager
    def driven(self, load: Load, *, is_failing: bool = False) -> Iterator[subprocess.Popen[str]]:
        """Drive it; SIGINT ends that early, and its line comes all the same."""
        process = subprocess.Popen(  # noqa: S603 - our own command
            LEASH + self.load_command(load, is_failing=is_failing) + ["--announce"] * is_failing,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:  # the end of it closes the pipe
            try:
                yield process
            finally:
                process.kill()

    def rest(self) -> None:
        """Wait until it has done what its last load left behind."""
        time.sleep(max(0.0, self._written_at + self.afterwork_s - time.monotonic()))

    def kill(self, *names: str) -> None:
        """End nodes at once, as a crash would."""
        for name in names:
            self._processes[name].kill()
        for name in names:
            self._processes[name].wait(END_S)

    def cpu_s(self) -> float:
        """What the nodes that run have spent, all together."""
        return sum(cpu_seconds(process.pid) for process in self._processes.values())

    def resident_bytes(self) -> int:
        """Of the largest node."""
        return max(resident_bytes(process.pid) for process in self._processes.values())

    def disk_bytes(self) -> int:
        """What all nodes together take on the disk, preallocated space included."""
        return sum(disk_bytes(self.kept(node)) for node in self.nodes)

    def last_words(self) -> str:
        """The last line that its first node said."""
        lines = (self.directory / f"{self.names[0]}.log").read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"

    def close(self) -> None:
        """End all nodes and remove what they kept."""
        self.kill(*self._processes)
        self._kept.cleanup()

    def __enter__(self) -> Self:
        try:
            self.start_all()
            self.wait_until_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def words_of(*command: str) -> str:
    """What a short command of the system says."""
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return done.stdout.strip()


def cpu_seconds(pid: int) -> float:
    """What a process has spent, its ended children not counted; 0 if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def resident_bytes(pid: int) -> int:
    """What of a process is in memory, mapped files included; 0 if it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def disk_bytes(directory: Path) -> int:
    """What all below it takes, holes left out."""
    blocks = 0
    for path in directory.rglob("*"):
        with suppress(FileNotFoundError):  # logs come and go
            blocks += path.stat().st_blocks
    return blocks * 512


def until(condition: Callable[[], bool], what: str, within_s: float = START_S) -> None:
    """Wait for it."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"not within {within_s:g} s: {what}")
        time.sleep(LOOK_S)
