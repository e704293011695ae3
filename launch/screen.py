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

    def tell(self, event: str) -> None:
        """One line."""
        print(event, flush=True)

    def show(self, view: View) -> None:
        """A table would only repeat itself."""


class LiveScreen:
    """The cluster at work, redrawn a few times a second."""

    def __init__(self, console: Console, hint: str) -> None:
        """With the hint as the last line."""
        self._live = Live(console=console, auto_refresh=False)
        self._hint = hint
        self._due_at = 0.0

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last picture standing."""
        self._live.stop()

    def tell(self, event: str) -> None:  # noqa: ARG002 - the view has it
        """Draw at once."""
        self._due_at = 0.0

    def show(self, view: View) -> None:
        """Draw when it is time."""
        if time.monotonic() >= self._due_at:
            self._due_at = time.monotonic() + FRAME_S
            self._live.update(picture(view, self._hint), refresh=True)


def picture(view: View, hint: str) -> RenderableType:
    """The cluster, its nodes, what happened last, and what the user can do."""
    lines = [Text(event, _style(event)) for event in view.events[-EVENTS_SHOWN:]]
    return Group(
        headline(view), table(view.nodes, with_clients=False), *lines, Text(), Text(hint, "dim")
    )


def overview(view: View) -> RenderableType:
    """How the cluster is, and where clerks find it."""
    return Group(headline(view), table(view.nodes, with_clients=True))


def headline(view: View) -> Text:
    """Who leads, and how many answer."""
    leader, term = view.leadership
    answering = sum(1 for node in view.nodes if node.answer)
    who = (f"{leader} leads term {term}", "green") if leader else ("nobody leads", "yellow")
    share = f"{answering} of {len(view.nodes)} nodes answer"
    return Text.assemble((view.cluster, "bold"), "   ", who, "   ", share)


def table(nodes: Sequence[NodeView], *, with_clients: bool) -> Table:
    """A row for each node, narrow enough for 80 columns."""
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="dim", border_style="dim")
    for column in ("node", "role"):
        grid.add_column(column, no_wrap=True)
    for column in ("term", "commit", "applied", "writes/s", "pid"):
        grid.add_column(column, no_wrap=True, justify="right")
    if with_clients:
        grid.add_column("client", no_wrap=True)
    for node in nodes:
        row = _row(node)
        grid.add_row(*row, *([Text(node.address.client, "dim")] if with_clients else []))
    return grid


def as_json(view: View) -> str:
    """What `status --json` prints; null is what nobody knows."""
    leader, term = view.leadership
    nodes = [_object(node) for node in view.nodes]
    return json.dumps({"cluster": view.cluster, "leader": leader, "term": term, "nodes": nodes})


def _row(node: NodeView) -> list[Text]:
    name, pid = node.address.name, str(node.pid or "")
    if node.answer is None:
        style = "yellow" if node.state in {State.RUNNING, State.STOPPING} else "red"
        return [
            Text(name),
            Text(_why_silent(node), style),
            *[Text("")] * 4,
            Text(pid),
            Text(node.address.client, "dim"),
        ]
    status = node.answer.status
    style = ROLE_STYLES.get(status.role, "default")
    numbers = (status.term, status.commit_index, status.applied_index)
    return [
        Text(name, style),
        Text(status.role, style),
        *[Text(str(number)) for number in numbers],
        Text("" if node.answer.writes_per_s is None else f"{node.answer.writes_per_s:.0f}"),
        Text(pid),
    ]


def _why_silent(node: NodeView) -> str:
    if node.state is State.RUNNING:
        return "no answer"
    return node.state.value if node.state else "not reached"


def _style(event: str) -> str:
    """Of a line of the events: what must not be overlooked stands out."""
    return next((style for word, style in EVENT_STYLES.items() if word in event), "default")


def _object(node: NodeView) -> dict[str, object]:
    status = node.answer.status if node.answer else None
    return {
        "name": node.address.name,
        "id": node.address.node_id,
        "alive": status is not None,
        "pid": node.pid,
        "role": status.role if status else None,
        "term": status.term if status else None,
        "commit": status.commit_index if status else None,
        "applied": status.applied_index if status else None,
        "last": status.last_index if status else None,
        "client": node.address.client,
        "peer": node.address.peer,
    }
