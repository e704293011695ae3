"""The list of planted bugs has not rotted: each still has its place, and none is missing."""

import pytest

from tests.mutants.hunt import ROOT
from tests.mutants.mutant import bugged
from tests.mutants.planted import MUTANTS

ASKED_FOR = {
    *("D1", "D2", "D7", "D8", "D9"),
    *(f"M{number}" for number in range(1, 10)),
    *("R1", "R2", "R3", "R4"),
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_has_exactly_one_place(mutant):
    """Else it would plant nothing, or more than its sentence says."""
    source = (ROOT / mutant.file).read_text()

    assert bugged(mutant, source) != source


def test_every_invariant_of_the_core_has_a_planted_bug():
    """An invariant that nobody tries to break may be proven by tests that cannot fail."""
    assert {mutant.invariant for mutant in MUTANTS} >= ASKED_FOR


def test_planted_bugs_have_names_of_their_own():
    """`--only NAME` means one."""
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
