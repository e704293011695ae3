"""Opening: the right directory opens at once, every other is refused with a sentence."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from time import perf_counter

import lmdb
import pytest

from storage import environment as environment_file
from storage.environment import (
    FORMAT,
    MAP_BYTES,
    Disk,
    DiskFailed,
    DiskFull,
    Identity,
    StorageRefused,
    open_environment,
    open_node,
)
from storage.log import LogStore
from storage.state import StateStore
from tests.storage.fakes import IDENTITY, entries_of, place
from tests.storage.test_log import HARD_STATE

ROOT = Path(__file__).parent.parent.parent


def test_a_node_opens_again_and_again(directory):
    """First creation, then the same log and state each time; parents are made too."""
    for _ in range(3):
        opened = open_node(directory / "data" / "n1", IDENTITY)
        assert opened.log.info()["map_size"] == MAP_BYTES
        opened.close()

    names = sorted(path.name for path in (directory / "data" / "n1").iterdir())
    assert names == ["log", "member", "state"]


def test_the_files_are_sparse(directory):
    """A map of 1 TiB costs address space; the disk holds what was written."""
    opened = open_node(directory / "n1", IDENTITY)
    opened.close()

    assert (directory / "n1" / "log" / "data.mdb").stat().st_size < 1 << 20


OTHERS = {
    "another cluster": (IDENTITY._replace(cluster="other"), "belongs to cluster 'test'"),
    "another node": (IDENTITY._replace(node=2), "belongs to node 1, not to node 2"),
    "another format": (IDENTITY._replace(format=FORMAT + 1), f"written in format {FORMAT};"),
}


@pytest.mark.parametrize(("identity", "sentence"), OTHERS.values(), ids=OTHERS.keys())
def test_anothers_directory_is_refused(identity, sentence, directory):
    """D12: the mark of the directory and the identity in each environment are both checked."""
    open_node(directory / "n1", IDENTITY).close()

    with pytest.raises(StorageRefused, match=sentence):
        open_node(directory / "n1", identity)
    for name in ("log", "state"):
        with pytest.raises(StorageRefused, match=sentence):
            open_environment(directory / "n1" / name, identity)


def test_a_state_of_another_node_is_refused(directory):
    """D12: files that were mixed up are noticed although the directory is the right one."""
    open_node(directory / "n1", IDENTITY).close()
    open_node(directory / "n2", IDENTITY._replace(node=2)).close()
    rmtree(directory / "n1" / "state")
    (directory / "n2" / "state").rename(directory / "n1" / "state")

    with pytest.raises(StorageRefused, match="belongs to node 2"):
        open_node(directory / "n1", IDENTITY)


LOST: dict[str, Callable[[Path], object]] = {
    "log/": lambda node: rmtree(node / "log"),
    "state/": lambda node: rmtree(node / "state"),
    "the log's file": lambda node: (node / "log" / "data.mdb").rename(node / "saved.log"),
    "the state's contents": lambda node: os.truncate(node / "state" / "data.mdb", 0),
    "all but the mark": lambda node: list(map(rmtree, (node / "log", node / "state"))),
}


@pytest.mark.parametrize("lose", LOST.values(), ids=LOST.keys())
def test_a_member_never_boots_empty(lose, directory):
    """D12: a directory that says it was a member must have all that a member had."""
    open_node(directory / "n1", IDENTITY).close()
    lose(directory / "n1")

    with pytest.raises(StorageRefused, match=r"belongs to a member, but its (log|state)/ is gone"):
        open_node(directory / "n1", IDENTITY)


@pytest.mark.parametrize("mark", [None, b"", b'{"cluster": "te'], ids=["gone", "empty", "torn"])
def test_data_without_a_members_mark_is_refused(mark, directory):
    """D12: nobody knows whose data it is; a mark that was never finished is none."""
    opened = open_node(directory / "n1", IDENTITY)
    LogStore(opened.log).write(0, HARD_STATE, None, 1, entries_of(1, b"a"))
    opened.close()
    (directory / "n1" / "member").unlink()
    if mark is not None:
        (directory / "n1" / "member").write_bytes(mark)

    with pytest.raises(StorageRefused, match="holds data, but"):
        open_node(directory / "n1", IDENTITY)


def test_a_damaged_mark_is_refused(directory):
    """It was whole once, and is not a node's mark now."""
    open_node(directory / "n1", IDENTITY).close()

    for damaged in (b"[]\n", b"\xff\n", b"nonsense\n", json.dumps({"node": 1}).encode() + b"\n"):
        (directory / "n1" / "member").write_bytes(damaged)
        with pytest.raises(StorageRefused, match="does not say whose"):
            open_node(directory / "n1", IDENTITY)


def test_someone_elses_files_are_left_alone(directory):
    """A wrong path in the configuration must not fill a stranger's directory."""
    (directory / "letter.txt").write_text("dear reader")

    with pytest.raises(StorageRefused, match=r"letter\.txt"):
        open_node(directory, IDENTITY)
    with pytest.raises(StorageRefused, match="not empty"):
        open_environment(directory, IDENTITY)
    assert (directory / "letter.txt").read_text() == "dear reader"


def test_whoever_starts_the_node_may_put_its_log_beside(directory):
    """A launcher's log and pid files are not strange."""
    (directory / "n1.log").write_text("starting")
    (directory / "n1.pid").write_text("1")

    open_node(directory, IDENTITY).close()


def test_lmdb_data_that_is_not_ours_is_refused(directory):
    """It has no identity, but it is not empty either."""
    (directory / "log").mkdir()
    with lmdb.open(str(directory / "log")) as stranger, stranger.begin(write=True) as txn:
        txn.put(b"key", b"value")

    with pytest.raises(StorageRefused, match="no data of Kvorum's"):
        open_environment(directory / "log", IDENTITY)


def test_a_file_that_is_not_lmdbs_is_refused(directory):
    """Both of LMDB's first pages are gone."""
    open_node(directory / "n1", IDENTITY).close()
    file = directory / "n1" / "state" / "data.mdb"
    file.write_bytes(b"\xff" * file.stat().st_size)

    with pytest.raises(StorageRefused, match="cannot open"):
        open_node(directory / "n1", IDENTITY)


def test_a_file_that_was_cut_short_is_refused(directory):
    """D6, D12: LMDB would die of it, or make a new environment where almost nothing is left."""
    opened = open_node(directory / "n1", IDENTITY)
    LogStore(opened.log).write(0, HARD_STATE, None, 1, entries_of(1, *[bytes(900)] * 2000))
    opened.close()
    file = directory / "n1" / "log" / "data.mdb"
    whole = file.read_bytes()

    for length in (0, 1, 4096, 8191, 8192, 10_000, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(StorageRefused):
            open_node(directory / "n1", IDENTITY)


def test_a_path_that_cannot_be_a_directory_is_refused(directory):
    """A user reads a sentence, not a traceback."""
    (directory / "file").write_text("")

    with pytest.raises(StorageRefused, match="cannot use"):
        open_node(directory / "file", IDENTITY)


def test_a_refused_directory_is_let_go(directory):
    """Nothing stays open or locked behind a refusal."""
    open_node(directory / "n1", IDENTITY).close()
    with pytest.raises(StorageRefused):
        open_node(directory / "n1", IDENTITY._replace(node=2))

    open_node(directory / "n1", IDENTITY).close()


def test_two_processes_never_share_a_directory(directory):
    """D12 [etcd LaunchDuplicateMember]: two nodes with one vote would be two leaders."""
    opened = open_node(directory / "n1", IDENTITY)

    refused = run_in_another_process(f"open_node({str(directory / 'n1')!r})")
    opened.close()
    allowed = run_in_another_process(f"open_node({str(directory / 'n1')!r})")

    assert "is in use by another process" in refused
    assert allowed == ""


def test_a_process_with_little_address_space_gets_a_smaller_map(directory):
    """Some systems bound address space: the map is then as large as they let it be."""
    limit = 1 << 36

    output = run_in_another_process(
        "import resource",
        f"resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))",
        f"opened = open_node({str(directory / 'n1')!r})",
        "print(opened.log.info()['map_size'])",
    )

    assert 1 << 33 <= int(output) < limit


def test_no_address_space_at_all_is_refused(directory, monkeypatch):
    """Less than MAP_BYTES_MIN is not worth starting with."""
    monkeypatch.setattr(environment_file, "MAP_BYTES_MIN", 1 << 59)
    monkeypatch.setattr(environment_file, "MAP_BYTES", 1 << 60)

    with pytest.raises(StorageRefused, match="cannot open"):
        open_environment(directory / "log", IDENTITY)


def test_a_full_map_is_a_full_disk(directory, monkeypatch):
    """O2: the transaction is undone, and smaller ones still work."""
    monkeypatch.setattr(environment_file, "MAP_BYTES", 1 << 18)
    environment = open_environment(directory / "log", IDENTITY)
    log = LogStore(environment)
    log.write(0, HARD_STATE, None, 1, entries_of(1, b"a"))

    with pytest.raises(DiskFull):
        log.write(0, HARD_STATE, None, 2, entries_of(1, *[bytes(1000)] * 1000))

    assert log.load(0).entries == tuple(entries_of(1, b"a"))
    log.write(0, HARD_STATE, None, 2, entries_of(1, b"b"))
    assert log.load(0).entries == tuple(entries_of(1, b"a", b"b"))
    environment.close()


def test_after_a_failed_write_there_is_no_other(directory):
    """D5: what a failed sync left on the disk is unknown, so trying again could lie."""
    environment = open_environment(directory / "log", IDENTITY)
    disk = Disk(environment)
    with pytest.raises(DiskFailed), disk.transaction() as txn:
        txn.put(b"", b"an error that is not a full disk")

    with pytest.raises(DiskFailed, match="an earlier write failed"), disk.transaction():
        pass
    environment.close()


def test_a_million_keys_open_at_once(tmp_path):
    """Issue bar: nothing is read that is not asked for, so size does not matter."""
    opened = open_node(tmp_path / "n1", IDENTITY)
    with opened.state.begin(write=True) as txn:
        keys = opened.state.open_db(b"keys0", txn)
        value = bytes(256)
        rows = ((b"k%09d" % number, value) for number in range(1_000_000))
        assert txn.cursor(keys).putmulti(rows, append=True) == (1_000_000, 1_000_000)
    state = StateStore(opened.state)
    state.freeze(b"", place(5))
    state.flush()
    state.close()
    opened.close()

    started = perf_counter()
    opened = open_node(tmp_path / "n1", IDENTITY)
    state = StateStore(opened.state)
    LogStore(opened.log).load(0)
    found = state.get(b"000999999")
    spent = perf_counter() - started

    assert found == value
    assert spent < 0.3
    state.close()
    opened.close()


def run_in_another_process(*lines: str) -> str:
    """What it prints; the sentence of a refusal is printed too."""
    program = "\n".join(
        [
            "from pathlib import Path",
            "from storage.environment import Identity, StorageRefused",
            "from storage import environment",
            "def open_node(path):",
            f"    return environment.open_node(Path(path), {IDENTITY!r})",
            "try:",
            *(f"    {line}" for line in lines),
            "except StorageRefused as refused:",
            "    print(refused)",
        ]
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_an_identity_says_what_it_is():
    """Its format is this program's unless another is asked for."""
    assert Identity("test", 1) == Identity("test", 1, FORMAT)
