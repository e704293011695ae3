"""A sweep as a picture: throughput, latency and memory against what was varied."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.sweeps import OPS, Point, Sweep

PANELS: tuple[tuple[str, str], ...] = (
    ("operations a second", "per_s"),
    ("p99 in ms", "p99_ms"),
)
INCHES = (7.0, 8.0)
DOTS_PER_INCH = 120


def draw(sweep: Sweep, points: Sequence[Point], notes: str, file: Path) -> None:
    """Write it as SVG and as PNG; the notes stand below it."""
    mpl.rcParams["svg.hashsalt"] = "kvorum"  # the same points make the same file
    figure = Figure(figsize=INCHES, layout="constrained")
    throughput, latency, memory = figure.subplots(3, 1, sharex=True)
    xs = [point.x for point in points]
    for axes, (label, field) in zip((throughput, latency), PANELS, strict=True):
        for op in OPS:
            axes.plot(xs, [getattr(point, op)[field] for point in points], marker="o", label=op)
        axes.set_ylabel(label)
        axes.legend()
    memory.plot(xs, [point.memory_mb for point in points], marker="o", color="tab:green")
    memory.set_ylabel("memory of a node in MB")
    memory.set_xlabel(sweep.label)
    for axes in (throughput, latency, memory):
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
        if sweep.is_logarithmic:
            axes.set_xscale("log")
    figure.supxlabel(notes, fontsize=7)
    figure.savefig(file.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(file.with_suffix(".png"), dpi=DOTS_PER_INCH)
