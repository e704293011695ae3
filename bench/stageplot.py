"""A put's stages as a picture: one panel for each load."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.stages import Profile

INCHES_WIDE = 8.0
INCHES_HIGH = 2.8  # of a panel
COLOUR, COLOUR_OF_REST = "tab:blue", "lightgrey"


def draw(profiles: Sequence[Profile], notes: str, file: Path) -> None:
    """Write it as SVG; the notes stand below it."""
    mpl.rcParams["svg.hashsalt"] = "kvorum"  # the same figures make the same file
    figure = Figure(figsize=(INCHES_WIDE, INCHES_HIGH * len(profiles)), layout="constrained")
    panels = figure.subplots(len(profiles), 1, squeeze=False)
    for axes, profile in zip(panels[:, 0], profiles, strict=True):
        _panel(axes, profile)
    figure.supxlabel(notes, fontsize=7)
    figure.savefig(file, format="svg", metadata={"Date": None})


def _panel(axes: Axes, profile: Profile) -> None:
    """Stages from top to bottom, each from where the one before it ended."""
    names = [stage.name for stage in profile.stages]
    widths = [stage.us for stage in profile.stages]
    begins = [0.0, *accumulate(widths[:-1])]
    colours = [COLOUR] * (len(names) - 1) + [COLOUR_OF_REST]
    bars = axes.barh(names, widths, left=begins, color=colours)
    axes.bar_label(bars, [f"{us:,.0f} µs, {us / profile.mean_us:.0%}" for us in widths], padding=3)
    axes.invert_yaxis()
    axes.set_xlim(0, profile.mean_us * 1.25)  # room for the last label
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.set_title(f"{profile.clients:,} at a time: {profile.per_s:,.0f} puts/s", fontsize=9)
    axes.set_xlabel("µs, one stage after the other")
