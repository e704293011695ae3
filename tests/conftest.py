"""What every test shares: the command line's options and a repeatable Hypothesis."""

from importlib.util import find_spec

import pytest

NEEDED = ("hypothesis", "lmdb", "msgpack", "rich", "yaml", "zmq", "zstandard")

if missing := [package for package in NEEDED if find_spec(package) is None]:
    # Raised before pytest has a screen: the sentence is all that its user sees.
    raise SystemExit(f"the tests need {', '.join(missing)}, not installed: run `make env`")

from hypothesis import settings  # noqa: E402 - it may be missing

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the caller choose how much is proven, and renew the transcripts."""
    group = parser.getgroup("kvorum")
    group.addoption("--seeds", type=int, default=300, help="simulated worlds to run")
    group.addoption("--mutants", action="store_true", help="also plant bugs and catch them (slow)")
    group.addoption("--rewrite", action="store_true", help="write the scenarios' answers anew")
