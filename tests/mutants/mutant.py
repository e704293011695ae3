"""What one planted bug is, and how it gets into a copy of the source."""

from pathlib import Path
from typing import NamedTuple


class Mutant(NamedTuple):
    """One bug: where it is planted, what it breaks, and who should notice first."""

    name: str
    invariant: str  # the mistake's id in docs/invariants.md, or the section of the paper
    file: str
    text: str  # must occur exactly once, or the list has rotted
    planted: str
    harm: str
    catcher: str  # the pytest node that should fail first, or SIMULATION


SIMULATION = "simulation"


def plant(mutant: Mutant, tree: Path) -> None:
    """Put the bug into this copy of the source."""
    file = tree / mutant.file
    file.write_text(bugged(mutant, file.read_text()))


def bugged(mutant: Mutant, source: str) -> str:
    """The file's source with the bug in it."""
    found = source.count(mutant.text)
    assert found == 1, f"{mutant.name}: its text occurs {found} times in {mutant.file}"
    replaced = source.replace(mutant.text, mutant.planted)
    compile(replaced, mutant.file, "exec")  # a syntax error would be caught by anything
    return replaced
