"""What Kvorum is to reach beside etcd, and the tables that say whether it did."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from bench.tally import Line
from bench.trials import LOADS

Results = dict[str, dict[str, list[Line]]]
"""By row and store: a line of each round."""

Figures = Mapping[str, float]
"""The medians of a store, by what they are of."""


class Goal(NamedTuple):
    """A figure of ours as a multiple of etcd's: throughput at least, all else at most."""

    row: str
    figure: str
    title: str
    bound: float
    aim: float
    aim_ms: float | None = None  # instead, whatever etcd's is

    def verdict(self, ours: float, peer: float) -> str:
        """How far it is reached."""
        ratio = ours / peer
        is_more = self.figure == "per_s"
        is_met = ratio >= self.bound if is_more else ratio <= self.bound
        is_aim = ratio >= self.aim if is_more else ratio <= self.aim
        if self.aim_ms is not None:
            is_aim = ours <= self.aim_ms
        return "NOT MET" if not is_met else "met, aim too" if is_aim else "met"

    def wanted(self) -> list[str]:
        """Bound and aim, as they are shown."""
        aim = f"{self.aim:.2g} x" if self.aim_ms is None else f"{self.aim_ms:,.0f} ms"
        return [f"{self.bound:.2g} x", aim]


GOALS = (
    Goal("put-1000", "per_s", "puts/s, 1000 clients", 3.0, 5.0),
    Goal("put-64", "per_s", "puts/s, 64 clients", 2.0, 3.0),
    Goal("put-1", "p50_ms", "put p50, 1 client", 1.0, 0.8),
    Goal("put-64", "p99_ms", "put p99, 64 clients", 1.0, 0.5),
    Goal("get-1000", "per_s", "linearizable gets/s, 1000 clients", 3.0, 5.0),
    Goal("get-1", "p50_ms", "linearizable get p50, 1 client", 1.0, 0.8),
    Goal("put-1000", "cpu_s_per_10k", "server CPU of a put, 1000 clients", 0.5, 1 / 3),
    Goal("keys", "memory_mb", "memory of a node with many keys", 1.0, 0.5),
    Goal("gap", "gap_ms", "gap after SIGKILL of the leader", 1 / 3, 0.0, aim_ms=400.0),
    Goal("keys", "restart_ms", "first write after SIGKILL of all", 1.0, 0.0, aim_ms=1000.0),
)
"""Of puts and gets at so many clients, values of 256 bytes."""

FIGURES = {
    "per_s": ("per s", "{:,.0f}"),
    "p50_ms": ("p50 ms", "{:,.2f}"),
    "p99_ms": ("p99 ms", "{:,.2f}"),
    "cpu_s_per_10k": ("server CPU s per 10,000", "{:,.2f}"),
    "client_cpu_s_per_10k": ("client CPU s per 10,000", "{:,.2f}"),
    "failed": ("failed", "{:,.0f}"),
    "memory_mb": ("memory of a node, MB", "{:,.0f}"),
    "disk_mb": ("disk of all nodes, MB", "{:,.0f}"),
    "restart_ms": ("back after SIGKILL of all, ms", "{:,.0f}"),
    "gap_ms": ("no write after SIGKILL of the leader, ms", "{:,.0f}"),
}
"""What is shown of a line, and how."""

OF_LOADS = ("per_s", "p50_ms", "p99_ms", "cpu_s_per_10k", "client_cpu_s_per_10k", "failed")
"""Columns of the first table; whatever else there is stands in the second one, a line each."""


def medians(lines: Sequence[Line]) -> dict[str, float]:
    """Of each figure that is shown."""
    found = (figure for figure in FIGURES if lines and figure in lines[0])
    return {figure: median(line[figure] for line in lines) for figure in found}


def table_of(results: Results) -> str:
    """Every row, store by store, with the ratio to etcd's or, without it, the last store's."""
    stores = list(dict.fromkeys(store for row in results.values() for store in row))
    peer = "etcd" if "etcd" in stores else stores[-1]
    loads = [["row", "store", *(FIGURES[figure][0] for figure in OF_LOADS), f"per s / {peer}'s"]]
    others = [["figure", "store", "median", f"/ {peer}'s"]]
    for row, lines in results.items():
        found = {store: medians(of_store) for store, of_store in lines.items()}
        theirs = found.get(peer, {})
        for store, ours in found.items():
            if row in LOADS:
                told = [_said(ours, figure) for figure in OF_LOADS]
                loads.append([row, store, *told, _ratio(ours, theirs, "per_s")])
            else:
                others += _lines(store, ours, theirs)
    return "\n\n".join(markdown(table) for table in (loads, others) if len(table) > 1)


def verdicts(results: Results) -> str:
    """Which goals are reached; one without etcd's figure, or ours, is not judged."""
    rows = [["goal", "bound", "aim", "kvorum", "etcd", "ratio", ""]]
    for goal in GOALS:
        stores = results.get(goal.row, {})
        ours, peer = (medians(stores.get(name, [])).get(goal.figure) for name in ("kvorum", "etcd"))
        if ours and peer:
            said = [FIGURES[goal.figure][1].format(figure) for figure in (ours, peer)]
            told = [*said, f"{ours / peer:.2f} x", goal.verdict(ours, peer)]
            rows.append([goal.title, *goal.wanted(), *told])
    return markdown(rows) if len(rows) > 1 else "No goal can be judged without etcd."


def markdown(rows: Iterable[Sequence[str]]) -> str:
    """A table whose first row is its head; its columns are aligned."""
    head, *body = rows
    widths = [max(len(cell) for cell in column) for column in zip(head, *body, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (head, rule, *body)
    )


def _lines(store: str, ours: Figures, theirs: Figures) -> list[list[str]]:
    return [
        [FIGURES[figure][0], store, _said(ours, figure), _ratio(ours, theirs, figure)]
        for figure in ours
        if figure not in OF_LOADS
    ]


def _said(figures: Figures, figure: str) -> str:
    return FIGURES[figure][1].format(figures[figure]) if figure in figures else ""


def _ratio(ours: Figures, peer: Figures, figure: str) -> str:
    return f"{ours[figure] / peer[figure]:.2f}" if peer.get(figure) else ""
