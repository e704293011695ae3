"""What a person sees: tables for a terminal, lines for a file, one object for a program."""

import json
import sys
import time
from collections.abc import Sequence
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from actors.log import stamp
from actors.status import facts
from launch.child import State
from launch.view import NodeView, View

FRAME_S = 0.25
EVENTS_SHOWN = 8

ROLE_STYLES = {
    "leader": "bold green",
    "candidate": "bold yellow",
    "pre-candidate": "yellow",
    "follower": "default",
}


SILENT_STYLES = {
    State.STOPPED: "dim",
    State.PAUSED: "yellow",
    State.STOPPING: "yellow",
    State.WAITING: "red",
    State.REFUSED: "red",
    None: "red",
}


EVENT_STYLES = {
    "became leader": "green",
    "nobody leads": "yellow",
    "it starts again": "red",
    "refused": "red",
    "giving up": "red",
}


WIDTH = 160
"""Where no terminal has one."""


def console() -> Console:
    """The standard output, for tables."""
    return Console(width=None if sys.stdout.isatty() else WIDTH)


class Lines:
    """Events as they happen, one a line: for a log file, or where no terminal is."""

    def __init__(self, form: str) -> None:
        """In the form "human" or "json", as the nodes' logs."""
        self._form = form

    def tell(self, event: str) -> None:
        """One line."""
        line = f"{stamp()} {event}"
        if self._form == "json":
            head = {"time": stamp(), "level": "info", "node": "launcher"}
            line = json.dumps(head | {"event": event})
        print(line, flush=True)

    def show(self, view: View) -> None:
        """A table would only repeat itself."""


class LiveScreen:
    """The cluster at work, redrawn a few times a second."""

    def __init__(self, console: Console, hint: str, farewell: str) -> None:
        """With the hint as the last line, and the farewell in its place at the end."""
        self._live = Live(console=console, auto_refresh=False)
        self._hint = hint
        self._farewell = farewell
        self._shown: View | None = None
        self._due_at = 0.0

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last picture standing."""
        if self._shown:
            self._live.update(picture(self._shown, self._farewell))
        self._live.stop()

    def tell(self, event: str) -> None:  # noqa: ARG002 - the view has it
        """Draw at once."""
        self._due_at = 0.0

    def show(self, view: View) -> None:
        """Draw when it is time."""
        self._shown = view
        if time.monotonic() >= self._due_at:
            self._due_at = time.monotonic() + FRAME_S
            self._live.update(picture(view, self._hint), refresh=True)


def picture(view: View, hint: str) -> RenderableType:
    """The cluster, its nodes, what happened last, and what the user can do."""
    lines = [Text(event, _style(event)) for event in view.events[-EVENTS_SHOWN:]]
    gap = [Text()] if lines else []
    return Group(overview(view, with_rates=True), *lines, *gap, Text(hint, "dim"))


def overview(view: View, *, with_rates: bool) -> RenderableType:
    """How the cluster is, and where clerks find it; rates are known only after a while."""
    return Group(headline(view), table(view.nodes, with_rates=with_rates))


def headline(view: View) -> Text:
    """Who leads, and how many answer."""
    if all(node.state is State.STOPPED for node in view.nodes):
        return Text.assemble((view.cluster, "bold"), "   ", "stopped")
    leader, term = view.leadership
    answering = sum(1 for node in view.nodes if node.answer)
    who = (f"{leader} leads term {term}", "green") if leader else ("nobody leads", "yellow")
    share = f"{answering} of {len(view.nodes)} nodes answer"
    return Text.assemble((view.cluster, "bold"), "   ", who, "   ", share)


def table(nodes: Sequence[NodeView], *, with_rates: bool) -> Table:
    """A row for each node, narrow enough for 80 columns."""
    counts = ("term", "commit", "applied", *(("writes/s",) if with_rates else ()), "pid")
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="dim", border_style="dim")
    for column in ("node", "role"):
        grid.add_column(column, no_wrap=True)
    for column in counts:
        grid.add_column(column, no_wrap=True, justify="right")
    grid.add_column("client", no_wrap=True)
    for node in nodes:
        role, known = _role(node), _counts(node)
        name = Text(node.address.name, role.style if node.answer else "default")
        client = Text(node.address.client, "dim")
        grid.add_row(name, role, *(known.get(column, "") for column in counts), client)
    return grid


def as_json(view: View) -> str:
    """What `status --json` prints; null is what nobody knows."""
    leader, term = view.leadership
    nodes = [_object(node) for node in view.nodes]
    return json.dumps({"cluster": view.cluster, "leader": leader, "term": term, "nodes": nodes})


def _role(node: NodeView) -> Text:
    """What it is, or else why it says nothing."""
    if node.answer:
        role = node.answer.status.role
        return Text(role, ROLE_STYLES.get(role, "default"))
    if node.state is State.RUNNING:
        return Text("no answer", "yellow")
    return Text(node.state.value if node.state else "not reached", SILENT_STYLES[node.state])


def _counts(node: NodeView) -> dict[str, str]:
    """Of the columns with numbers, those that are known."""
    known = {"pid": str(node.pid or "")}
    if node.answer:
        status, rate = node.answer.status, node.answer.writes_per_s
        known["term"] = str(status.term)
        known["commit"] = str(status.commit_index)
        known["applied"] = str(status.applied_index)
        known["writes/s"] = "" if rate is None else f"{rate:.0f}"
    return known


def _style(event: str) -> str:
    """Of a line of the events: what must not be overlooked stands out."""
    return next((style for word, style in EVENT_STYLES.items() if word in event), "default")


def _object(node: NodeView) -> dict[str, object]:
    address = node.address
    known = facts(node.answer.status if node.answer else None) | {"pid": node.pid}
    head = {"name": address.name, "id": address.node_id}
    return head | known | {"client": address.client, "peer": address.peer}
