"""What every test shares: the command line's options and a repeatable Hypothesis."""

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the caller choose how much is proven, and renew the transcripts."""
    group = parser.getgroup("kvorum")
    group.addoption("--seeds", type=int, default=300, help="simulated worlds to run")
    group.addoption("--mutants", action="store_true", help="also plant bugs and catch them (slow)")
    group.addoption("--rewrite", action="store_true", help="write the scenarios' answers anew")
