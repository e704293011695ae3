"""actors/awake.py: when a node keeps the cores from sleep, and who may."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from actors.awake import SHARE_MIN, SHARE_REST, VIRTUAL, Awake

CORES = 3
DESCRIPTORS = 1024
WORK, LITTLE, REST = 1.1 * SHARE_MIN, 0.9 * SHARE_MIN, 0.9 * SHARE_REST


class Machine:
    """Cores that sleep, a device to keep them from it, and one process."""

    def __init__(self, directory: Path, driver: str = VIRTUAL, cores: int = CORES) -> None:
        self.now, self.used_s, self.looked_out_s = 100.0, 50.0, 0.0
        self.device = directory / "cpu_dma_latency"
        self.device.touch()
        self.driver = directory / "current_driver"
        self.driver.write_text(f"{driver}\n")
        self.awake = Awake(cores, self.device, self.driver, lambda: self.now, lambda: self.used_s)

    def pass_time(self, share: float, looked_out: float = 0.0) -> bool:
        """A look after a second with so much of the cores used; whether it asks then."""
        self.now += 1.0
        self.used_s += (share + looked_out) * CORES
        self.looked_out_s += looked_out * CORES
        self.awake.look(self.looked_out_s)
        return self.awake.is_asking

    def descriptors(self) -> int:
        """How often this process has the device open."""
        if not self.device.exists():
            return 0
        device = self.device.stat()
        found = 0
        for descriptor in range(DESCRIPTORS):
            with suppress(OSError):  # that one is not open
                found += os.path.samestat(os.fstat(descriptor), device)
        return found


@pytest.fixture
def machine(tmp_path):
    """All cores are virtual, and the device is ours."""
    machine = Machine(tmp_path)
    yield machine
    machine.awake.close()


def test_a_node_that_works_asks_and_stops_when_it_rests(machine):
    """Idle cores look out for twenty times what it does at most."""
    assert machine.awake.is_choice
    assert not machine.pass_time(LITTLE)
    assert machine.pass_time(WORK)
    assert machine.device.read_bytes() == bytes(4), "no latency at all"
    assert machine.pass_time(LITTLE), "a little less is no rest"
    assert not machine.pass_time(REST)
    assert not machine.pass_time(LITTLE)


def test_it_asks_once_and_the_request_ends_with_its_descriptor(machine):
    """So a node that is killed keeps no core awake: Linux closes its files."""
    for _ in range(3):
        machine.pass_time(WORK)
    assert machine.descriptors() == 1
    machine.awake.close()
    machine.awake.close()
    assert machine.descriptors() == 0


def test_looking_out_for_words_is_no_work(machine):
    """A lone client's leader does that all the time (actors/vigil.py)."""
    for _ in range(3):
        assert not machine.pass_time(LITTLE, looked_out=0.5)
    assert machine.pass_time(WORK, looked_out=0.5)
    assert machine.pass_time(WORK)


@pytest.mark.parametrize("machine_is", [{"driver": "intel_idle"}, {"cores": 1}])
def test_real_cores_and_a_single_one_are_left_alone(tmp_path, machine_is):
    """One that is awake in a microsecond need not look out, nor one that no other wakes."""
    machine = Machine(tmp_path, **machine_is)
    assert not machine.awake.is_choice
    assert not machine.pass_time(1.0)


def test_where_it_is_not_told_how_cores_sleep_none_is_kept_awake(tmp_path):
    """As on other systems."""
    assert not Awake(CORES, tmp_path / "cpu_dma_latency", tmp_path / "no_driver").is_choice


def test_who_may_not_write_to_the_device_has_no_choice(tmp_path, monkeypatch):
    """As most processes that root did not start."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert not Machine(tmp_path).awake.is_choice


@pytest.mark.parametrize("becomes", ["/nowhere", "/dev/full"])
def test_a_device_that_refuses_costs_nothing_but_time(machine, becomes):
    """It does not open, or takes no word: no descriptor is lost, and it is not asked again."""
    machine.device.unlink()
    machine.device.symlink_to(becomes)
    assert not machine.pass_time(WORK)
    assert machine.descriptors() == 0
    machine.device.unlink()
    machine.device.touch()
    assert not machine.pass_time(WORK)
