"""Pages of the file that were read: counted as the process's memory, and let go again."""

import re
from pathlib import Path

import pytest

from storage import mapping as mapping_file
from storage.environment import open_node
from storage.mapping import MAPS, Mapping
from storage.state import StateStore
from tests.storage.fakes import IDENTITY, place
from tests.storage.test_snapshot import fill

ROWS = {b"%05d" % number: b"%05d" % number * 100 for number in range(10_000)}

needs_maps = pytest.mark.skipif(not MAPS.exists(), reason="the system tells of no mappings")


@pytest.fixture
def state(directory):
    """A state of ten thousand keys, all of which were read."""
    node = open_node(directory / "n1", IDENTITY)
    state = StateStore(node.state)
    fill(state, 1, ROWS)
    assert dict(state.scan(b"", None, len(ROWS))) == ROWS
    yield state
    state.close()
    node.close()


@needs_maps
def test_what_was_let_go_is_read_again(state):
    """It is the kernel's cache: nothing is lost but its share in our memory."""
    file = state.disk.path / "data.mdb"
    assert resident_kb(file) > 1_000

    state.disk.let_pages_go()

    assert resident_kb(file) == 0
    assert dict(state.scan(b"", None, len(ROWS))) == ROWS


@needs_maps
def test_a_flush_lets_go_what_it_reads(state):
    """A node needs no more memory for having more keys."""
    for number, key in enumerate(ROWS):
        state.put(key, b"%d" % number)
    state.freeze(b"", place(2))

    state.flush()

    assert resident_kb(state.disk.path / "data.mdb") < 1_000
    state.release()
    assert [value for _, value in state.scan(b"", None, 3)] == [b"0", b"1", b"2"]


def test_where_the_system_tells_nothing_all_stays(state, monkeypatch):
    """Then a node counts as larger than it needs to be."""
    monkeypatch.setattr(mapping_file, "MAPS", Path("/nowhere"))
    Mapping(state.disk.path / "data.mdb").let_go(1 << 20)
    assert dict(state.scan(b"", None, len(ROWS))) == ROWS


def resident_kb(file: Path) -> int:
    """How much of the file this process has mapped."""
    smaps = Path("/proc/self/smaps").read_text()
    found = re.search(rf"{file}\n.*?Rss: +(\d+)", smaps, re.DOTALL)
    assert found
    return int(found[1])
