"""docs/papermap.md is true: what it names exists, and it names all that exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
MAP = (ROOT / "docs/papermap.md").read_text()
INVARIANTS = MAP.partition("## Invariants\n")[2].partition("\n## ")[0]

DURABILITY = {"D1", "D2", "D7", "D8", "D9"}
MEMBERSHIP = {f"M{number}" for number in range(1, 10)}
READS = {f"R{number}" for number in range(1, 5)}
ETCD_CLAIMS = 26


def test_every_function_in_the_map_exists():
    """A row leads to the lines that decide it."""
    assert set(re.findall(r"`(\w+\.py:\w+)`", MAP)) <= {
        f"{file.name}:{name}" for file in (ROOT / "raft").glob("*.py") for name in named_in(file)
    }


def test_every_file_of_tests_in_the_map_exists():
    """A section leads to the file that proves it, and each of ours proves a section."""
    files = {file.name for file in paper_files()}

    assert set(re.findall(r"\]\(\.\./tests/paper/([\w.]+)\)", MAP)) == files


def test_the_map_names_each_paper_test_and_no_other():
    """A claim without a test is a hope; a test without a claim proves nothing of the paper."""
    assert set(re.findall(r"`(test_\w+)`", claims())) == paper_tests()


def test_every_invariant_is_proven():
    """Each id in scope of the consensus core has a row, and each row a paper test."""
    rows = dict(re.findall(r"^\| ([A-Z]\d+) \|[^|]+\| (.+) \|$", INVARIANTS, re.MULTILINE))
    named = {test for tests in rows.values() for test in re.findall(r"`(test_\w+)`", tests)}

    assert rows.keys() == DURABILITY | MEMBERSHIP | READS
    assert all("`test_" in tests for tests in rows.values())
    assert named <= paper_tests()


def test_every_claim_of_etcds_paper_tests_is_proven():
    """Each of the 26 tests there stands beside one of ours."""
    rows = re.findall(r"^\| (Test\w+) \| `(test_\w+)` \|$", MAP, re.MULTILINE)

    assert len({theirs for theirs, _ in rows}) == ETCD_CLAIMS
    assert {ours for _, ours in rows} <= paper_tests()


def test_every_paper_test_cites_what_it_proves():
    """Its docstring opens with a section, a figure, an invariant, or says that it goes beyond."""
    silent = [
        function.name
        for file in paper_files()
        for function in proofs_in(file)
        if not re.match(
            r"(Thesis )?§\d|Figure \d|[DMR]\d|Beyond", ast.get_docstring(function) or ""
        )
    ]
    assert silent == []


def claims():
    """The sections of the paper and the thesis, without the indexes behind them."""
    return MAP.partition("## Invariants\n")[0]


def paper_files():
    """The files that prove sections; this one proves the map."""
    return sorted({*Path(__file__).parent.glob("test_*.py")} - {Path(__file__)})


def paper_tests():
    """The names of all paper tests."""
    return {function.name for file in paper_files() for function in proofs_in(file)}


def proofs_in(file):
    """The tests of a file."""
    parts = ast.parse(file.read_text()).body
    return [
        part for part in parts if isinstance(part, ast.FunctionDef) and part.name.startswith("test")
    ]


def named_in(file):
    """The functions, methods and classes of a file."""
    kinds = ast.FunctionDef | ast.ClassDef
    return {part.name for part in ast.walk(ast.parse(file.read_text())) if isinstance(part, kinds)}
