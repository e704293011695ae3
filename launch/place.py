"""Which cluster a command means, and the orders it gives to that cluster's supervisor."""

import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from actors.config import Config, ConfigError, load
from actors.orders import Report, give_order
from actors.status import Answer, leadership
from launch.child import State
from launch.record import Record, is_claimed, read_record
from launch.view import NodeView, View, is_of

CONFIG_FILE = Path("config.yaml")
ANSWER_S = 5.0
LOOK_S = 0.05


class Place(NamedTuple):
    """A cluster, and the arguments that make another process mean the same one."""

    config: Config
    config_file: Path | None
    nodes: int | None
    base_port: int | None
    log_format: str | None

    @property
    def data(self) -> Path:
        """Where everything of it lies."""
        return self.config.data_directory

    def arguments(self) -> list[str]:
        """For the command line of a node, or of a supervisor."""
        told = {
            "--data": self.data,
            "--config": self.config_file,
            "--nodes": self.nodes,
            "--base-port": self.base_port,
            "--log-format": self.log_format,
        }
        return [str(word) for pair in told.items() if pair[1] is not None for word in pair]

    def record(self, pid: int, orders: str) -> Record:
        """To be kept beside the data."""
        file = str(self.config_file) if self.config_file else None
        return Record(pid, orders, file, self.nodes, self.base_port)


class NoSupervisor(Exception):  # noqa: N818 - it is a circumstance, not a fault
    """Nobody is there to take orders; one sentence says so."""


def find(arguments: Namespace, *, as_recorded: bool = True) -> Place:
    """The cluster that the arguments name; what they leave open is as it was started last."""
    told = (arguments.config, arguments.nodes, arguments.base_port)
    file = arguments.config or (CONFIG_FILE if CONFIG_FILE.exists() else None)
    data = (arguments.data or load(file).data_directory).absolute()
    record = read_record(data) if as_recorded and told == (None, None, None) else None
    if record:
        file = Path(record.config) if record.config else None
        told = (file, record.nodes, record.base_port)
    file = file.absolute() if file else None
    form = getattr(arguments, "log_format", None)  # of those verbs that start something
    config = load(file, data=data, nodes=told[1], base_port=told[2], log_format=form)
    return Place(config, file, told[1], told[2], form)


def order(place: Place, verb: str, node: str = "") -> Report:
    """The supervisor's answer to one order."""
    record = read_record(place.data)
    if record is None or not is_claimed(place.data):
        raise NoSupervisor(f"nothing is started in {place.data}: `up` starts it")
    report = give_order(record.orders, verb, node, ANSWER_S)
    if report is None:
        raise NoSupervisor(f"the supervisor, pid {record.pid}, does not answer")
    if report["refusal"]:
        raise ConfigError(report["refusal"])
    return report


def reports(place: Place, node: str, timeout_s: float) -> Iterator[Report]:
    """What the supervisor says of that node, again and again until the time is over."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        yield order(place, "report")["nodes"][node]
        time.sleep(LOOK_S)


def known_here(place: Place) -> Report:
    """What a supervisor says of its nodes, by name; nothing if there is none."""
    try:
        found: Report = order(place, "report")["nodes"]
    except NoSupervisor:
        return {}
    return found


def who_may_answer(place: Place, known: Report) -> dict[str, str]:
    """Client endpoints to wait for: of all nodes but those that are known not to run."""
    running = State.RUNNING.value
    return {
        node.name: node.client
        for node in place.config.nodes
        if node.name not in known or known[node.name]["state"] == running
    }


def view_of(place: Place, known: Report, answers: Mapping[str, Answer]) -> View:
    """What the nodes say, and what a supervisor knows of those that are silent."""
    views = []
    for node in place.config.nodes:
        answer, child = answers.get(node.name), known.get(node.name)
        if answer and not is_of(answer.status, place.config.cluster, node):
            answer = None  # somebody else listens there
        pid = answer.status.pid if answer else child["pid"] if child else None
        views.append(NodeView(node, State(child["state"]) if child else None, pid, answer))
    statuses = [view.answer.status for view in views if view.answer]
    return View(place.config.cluster, leadership(statuses), tuple(views), ())
