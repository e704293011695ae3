"""The reserve: refused to commands early, and half of it ours even when others fill the disk."""

import os

from storage import reserve as reserve_file
from storage.environment import free_bytes
from storage.log import LogStore
from storage.reserve import Reserve
from tests.storage.fakes import entries_of
from tests.storage.test_disk_full import NO_RESERVE, use_up
from tests.storage.test_log import HARD_STATE

SIZE = 4 << 20


def test_half_of_the_reserve_outlives_a_disk_that_others_fill(small_disk, opened):
    """O1: the write in flight, and the votes behind it, find the space that was held."""
    log = LogStore(opened.log, NO_RESERVE)
    reserve = Reserve(small_disk / "reserve", SIZE)
    reserve.refill()
    assert reserve.is_left()

    use_up(small_disk)
    assert not reserve.is_left()
    assert reserve.release()
    log.write(0, HARD_STATE, None, 1, entries_of(1, *[bytes(10_000)] * 100))

    assert len(log.load(0).entries) == 100
    assert not reserve.release(), "there is no more"


def test_holding_a_half_does_not_change_what_is_left(directory, monkeypatch):
    """Else it would be taken and given in turns on a disk that is nearly full."""
    free = SIZE
    monkeypatch.setattr(reserve_file, "free_bytes", lambda _: free)
    reserve = Reserve(directory / "reserve", SIZE)
    assert reserve.is_left()

    reserve.refill()
    free = SIZE // 2
    assert reserve.is_left()
    free -= 1
    assert not reserve.is_left()


def test_it_is_refilled_only_when_all_of_it_is_free(directory, monkeypatch):
    """Whoever made space may have made little."""
    monkeypatch.setattr(reserve_file, "free_bytes", lambda _: SIZE - 1)
    reserve = Reserve(directory / "reserve", SIZE)
    reserve.refill()
    assert not (directory / "reserve").exists()

    monkeypatch.undo()
    reserve.refill()
    assert (directory / "reserve").stat().st_blocks * 512 >= SIZE // 2
    assert reserve.release()
    assert (directory / "reserve").stat().st_blocks == 0


def test_what_was_released_is_not_space_that_somebody_made(directory, monkeypatch):
    """Of several nodes on one disk each sees what the others gave up."""
    free = SIZE
    monkeypatch.setattr(reserve_file, "free_bytes", lambda _: free)
    reserve = Reserve(directory / "reserve", SIZE)
    reserve.refill()
    assert reserve.release()

    free = 2 * SIZE - 1
    reserve.refill()
    assert not reserve.is_left()
    free = 2 * SIZE
    reserve.refill()
    assert reserve.is_left()
    assert reserve.release()


def test_what_is_held_is_found_again_at_the_next_start(directory):
    """A node that starts on a full disk has its half still."""
    Reserve(directory / "reserve", SIZE).refill()
    before = free_bytes(directory)

    again = Reserve(directory / "reserve", SIZE)
    again.refill()

    assert again.release()
    assert free_bytes(directory) >= before - SIZE


def test_a_disk_that_does_not_give_it_after_all_is_no_fault(directory, monkeypatch):
    """Others were faster, or the file system cannot; then it is only left free."""
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    reserve = Reserve(directory / "reserve", SIZE)

    reserve.refill()

    assert not reserve.release()


def refuse(*_: object) -> None:
    """As a full disk does."""
    raise OSError(28, "No space left on device")
