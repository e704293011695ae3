"""actors/awake.py: when a node keeps the cores from sleep, and who may."""

import os
from pathlib import Path

import pytest

from actors.awake import NO_LATENCY, SHARE, VIRTUAL, Awake

CORES = 2


class Machine:
    """Cores that sleep, a device to keep them from it, and one process."""

    def __init__(self, directory: Path, driver: str = VIRTUAL) -> None:
        self.now = self.used_s = 0.0
        self.device = directory / "cpu_dma_latency"
        self.device.touch()
        self.driver = directory / "current_driver"
        self.driver.write_text(f"{driver}\n")
        self.awake = Awake(CORES, self.device, self.driver, lambda: self.now, lambda: self.used_s)

    def pass_time(self, share: float, awake_s: float = 0.0) -> bool:
        """A look after a second with so much of the cores used; whether it asks then."""
        self.now += 1.0
        self.used_s += share * CORES
        self.awake.look(awake_s)
        return self.awake.is_asking


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


@pytest.fixture
def machine(tmp_path):
    """All cores are virtual, and the device is ours."""
    machine = Machine(tmp_path)
    yield machine
    machine.awake.close()


def test_a_node_that_works_asks_and_stops_when_it_rests(machine):
    """Idle cores look out for 32 times what it does at most."""
    assert machine.awake.is_choice
    assert not machine.pass_time(0.9 * SHARE)
    assert machine.pass_time(1.1 * SHARE)
    assert machine.device.read_bytes() == NO_LATENCY
    assert machine.pass_time(0.6 * SHARE), "a little less is no rest"
    assert not machine.pass_time(0.4 * SHARE)
    assert not machine.pass_time(0.6 * SHARE)


def test_the_request_ends_with_its_descriptor(machine):
    """So a node that is killed keeps no core awake: Linux closes its files."""
    before = descriptors()
    machine.pass_time(1.0)
    assert descriptors() == before + 1
    machine.awake.close()
    assert descriptors() == before


def test_looking_out_for_words_is_no_work(machine):
    """A lone client's leader does that all the time (actors/vigil.py)."""
    assert not machine.pass_time(0.5, awake_s=CORES * 0.5)


def test_real_cores_and_other_systems_are_left_alone(tmp_path):
    """One that is awake in a microsecond need not look out."""
    assert not Machine(tmp_path, driver="intel_idle").awake.is_choice
    assert not Awake(CORES, tmp_path / "cpu_dma_latency", tmp_path / "no_driver").is_choice


def test_who_may_not_write_to_the_device_has_no_say(tmp_path, monkeypatch):
    """As most processes that root did not start."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert not Machine(tmp_path).awake.is_choice


def test_a_device_that_refuses_costs_nothing_but_time(machine):
    """Not the node, and no descriptor."""
    before = descriptors()
    machine.device.unlink()
    assert not machine.pass_time(1.0)
    machine.device.symlink_to("/dev/full")
    assert not machine.pass_time(1.0), "it opens, and refuses the write"
    assert descriptors() == before
    machine.device.unlink()
    machine.device.touch()
    assert machine.pass_time(1.0), "the next look tries again"
