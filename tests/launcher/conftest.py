"""Where a launcher is tested, and the proof that nothing of it goes on."""

import os
import signal
from collections.abc import Iterator

import pytest

import launcher
from tests.launcher.ground import FAKE, Ground


@pytest.fixture
def ground(tmp_path, monkeypatch) -> Iterator[Ground]:
    """A place for a cluster; whatever a test leaves running fails the test."""
    monkeypatch.setattr(launcher, "SELF", FAKE)
    monkeypatch.chdir(tmp_path)
    place = Ground(tmp_path / "data")
    yield place
    place.run("down")
    left = place.processes()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == [], "these processes went on"
