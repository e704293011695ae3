"""Every transcript in tests/scenarios still says what the cluster answers (docs/scenarios.md)."""

import re
from difflib import unified_diff
from pathlib import Path

import pytest

from tests.scenarios import arithmetic
from tests.scenarios.runner import Runner, answered

FOLDER = Path(__file__).parent / "scenarios"
TRANSCRIPTS = sorted(FOLDER.glob("*.txt"))
DOCUMENT = (Path(__file__).parent.parent / "docs" / "scenarios.md").read_text()


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_cluster_answers_as_written(path: Path, request: pytest.FixtureRequest) -> None:
    """One command at a time, the whole answer; --rewrite writes the new answers down."""
    written = path.read_text()
    now = answered(written)
    if request.config.getoption("--rewrite"):
        path.write_text(now)
    elif now != written:
        lines = (written.splitlines(), now.splitlines())
        pytest.fail("\n".join(unified_diff(*lines, path.name, "now", lineterm="")), pytrace=False)


def test_every_transcript_says_what_it_shows():
    """Its first line is a comment: a reader should know what to look for."""
    assert [path.name for path in TRANSCRIPTS if not path.read_text().startswith("# ")] == []


def test_the_document_lists_every_transcript():
    """Each with the sentence that its first line says."""
    listed = re.findall(r"^\| \[(\w+)\]\(.+\) \| (.+) \|$", DOCUMENT, re.MULTILINE)
    first_lines = [(path.stem, path.read_text().splitlines()[0]) for path in TRANSCRIPTS]
    assert sorted(listed) == [(name, line.removeprefix("# ")) for name, line in first_lines]


def test_the_document_has_a_line_for_every_command():
    """Who writes a transcript needs no look at the runner."""
    methods = {name[3:].replace("_", "-") for name in dir(Runner) if name.startswith("do_")}
    listed = set(re.findall(r"^\| `([\w-]+)", DOCUMENT, re.MULTILINE))
    assert listed == methods | set(arithmetic.COMMANDS) | {"quietly"}
