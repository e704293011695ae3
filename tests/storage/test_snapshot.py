"""A snapshot: the same state on the other side, or none; never something in between."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import zstandard

from messages.codec import ENTRY_BYTES_MAX
from storage import snapshot as snapshot_file
from storage.environment import open_environment
from storage.saved import encode_place
from storage.snapshot import (
    _RECORD,
    SnapshotCorrupt,
    SnapshotReader,
    SnapshotWriter,
    UnknownOffset,
    _encode_chunk,
)
from storage.state import KEY_BYTES_MAX, StateStore
from tests.storage.fakes import IDENTITY, place

SMALL = 100
"""Bytes of a block, so that a few records make many chunks and some span several."""

Chunks = list[tuple[int, bytes, bool]]


@pytest.fixture
def source(directory: Path) -> Iterator[StateStore]:
    """A state to be sent."""
    environment = open_environment(directory / "source", IDENTITY)
    yield StateStore(environment)
    environment.close()


@pytest.fixture
def target(directory: Path) -> Iterator[StateStore]:
    """A state that is behind, and has other keys."""
    environment = open_environment(directory / "target", IDENTITY)
    state = StateStore(environment)
    fill(state, 3, {b"old": b"value", b"k1": b"old"})
    yield state
    environment.close()


@pytest.mark.parametrize("block_bytes", [1, 7, SMALL, 4096, 1 << 20])
@pytest.mark.parametrize("seed", range(3))
def test_a_snapshot_replaces_the_state(seed, block_bytes, source, target):
    """Figure 13, step 8: keys, meta and place are the leader's, whatever was there before."""
    random = Random(seed)
    values = {
        random.randbytes(random.randint(1, 20)): random.randbytes(random.choice((0, 5, 300)))
        for _ in range(random.choice((0, 1, 60)))
    }
    fill(source, 9, values, meta=random.randbytes(50))

    writer = SnapshotWriter(target, place(9))
    stage(writer, read(source, block_bytes))
    writer.install()
    target.adopt()

    assert target.scan(b"", None, 1000) == sorted(values.items())
    assert (target.load(), target.last_included) == (source.load(), place(9))
    assert target.installed


def test_an_empty_state_can_be_sent(source, target):
    """Nothing but no-ops may have been applied: then meta and place are all there is."""
    fill(source, 9, {})
    writer = SnapshotWriter(target, place(9))

    stage(writer, read(source))
    writer.install()
    target.adopt()

    assert (target.applied_index, target.scan(b"", None, 10)) == (9, [])


def test_the_reader_sees_the_state_as_it_was(source):
    """DESIGN 4: a read transaction is a snapshot; writing goes on and nothing is copied."""
    fill(source, 9, {b"a": b"1"})
    reader = SnapshotReader(source, opened_at=12.5)
    before = reader.chunk(0)

    fill(source, 10, {b"a": b"2", b"b": b"3"})

    assert (reader.chunk(0), reader.snapshot, reader.opened_at) == (before, place(9), 12.5)
    reader.close()


def test_chunks_can_be_read_again_from_any_boundary(source, target):
    """Chunks get lost: reading one again gives the same bytes, and the digest stays right."""
    fill(source, 9, {b"%03d" % number: Random(number).randbytes(50) for number in range(100)})
    chunks = read(source, SMALL)
    random = Random(1)

    reader = SnapshotReader(source, 0.0, SMALL)
    for reached, chunk in enumerate(chunks):
        assert reader.chunk(chunk[0]) == chunk[1:]
        for offset, *again in random.choices(chunks[: reached + 1], k=2):
            assert reader.chunk(offset) == tuple(again)
    reader.close()

    assert read(source, SMALL) == chunks
    stage(SnapshotWriter(target, place(9)), chunks)


def test_a_new_reader_goes_on_where_an_earlier_one_stopped(source, target):
    """A leader that restarts is told an offset that it never read in this life."""
    fill(source, 9, {b"%03d" % number: Random(number).randbytes(50) for number in range(100)})
    chunks = read(source, SMALL)
    half = len(chunks) // 2
    writer = SnapshotWriter(target, place(9))
    stage(writer, chunks[:half])

    reader = SnapshotReader(source, 0.0, SMALL)
    later = [(offset, *reader.chunk(offset)) for offset, *_ in chunks[half:]]
    beyond = chunks[-1][0] + 1
    with pytest.raises(UnknownOffset):
        reader.chunk(beyond)
    reader.close()

    stage(writer, later)
    assert writer.is_complete


def test_what_a_reader_remembers_is_bounded(source, monkeypatch):
    """O3: far back only the very beginning is known; whoever needs another place starts over."""
    monkeypatch.setattr(snapshot_file, "BOUNDARIES_MAX", 5)
    fill(source, 9, {b"%03d" % number: Random(number).randbytes(50) for number in range(20)})
    chunks = read(source, SMALL)

    reader = SnapshotReader(source, 0.0, SMALL)
    for offset, *_ in chunks:
        reader.chunk(offset)

    assert reader.chunk(0)[0] == chunks[0][1]
    assert reader.chunk(chunks[-2][0])[0] == chunks[-2][1]
    for offset in (chunks[2][0], chunks[0][0] + 1):
        with pytest.raises(UnknownOffset):
            reader.chunk(offset)
    reader.close()


def test_a_chunk_always_fits_into_a_message(source, target):
    """The largest keys and values, impossible to compress, stay below ENTRY_BYTES_MAX."""
    random = Random(1)
    values = {random.randbytes(KEY_BYTES_MAX): random.randbytes(3 << 20) for _ in range(2)}
    fill(source, 9, values)
    chunks = read(source)

    writer = SnapshotWriter(target, place(9))
    stage(writer, chunks)
    writer.install()
    target.adopt()

    assert max(len(data) for _, data, _ in chunks) < ENTRY_BYTES_MAX
    assert dict(target.scan(b"", None, 10)) == values


def flip(data: bytes, at: int) -> bytes:
    """The same with one bit wrong."""
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("seed", range(30))
def test_one_wrong_bit_is_refused(seed, source, target):
    """D10: wherever it is, the chunk that has it is refused, and nothing is installed."""
    fill(source, 9, {b"%03d" % number: bytes([number]) * 30 for number in range(40)})
    chunks = read(source, SMALL)
    random = Random(seed)
    which = random.randrange(len(chunks))
    offset, data, done = chunks[which]

    writer = SnapshotWriter(target, place(9))
    stage(writer, chunks[:which])
    with pytest.raises(SnapshotCorrupt):
        writer.stage(offset, flip(data, random.randrange(len(data))), done)

    assert not writer.is_complete
    with pytest.raises(AssertionError):
        writer.install()
    target.adopt()
    assert (target.applied_index, target.get(b"old")) == (3, b"value")


WRONG: dict[str, Callable[[Chunks], Chunks]] = {
    "a chunk missing": lambda chunks: [*chunks[:1], *chunks[2:]],
    "a chunk twice": lambda chunks: [*chunks[:2], *chunks[1:]],
    "an earlier chunk at a later place": lambda chunks: [
        *chunks[:2],
        (chunks[2][0], chunks[1][1], False),
    ],
    "an end too early": lambda chunks: [*chunks[:2], (chunks[2][0], chunks[-1][1], True)],
    "an end that is not one": lambda chunks: [*chunks[:2], (*chunks[2][:2], True)],
    "no end": lambda chunks: [*chunks[:-1], (*chunks[-1][:2], False)],
    "more behind the end": lambda chunks: [*chunks, (chunks[-1][0] + 99, chunks[1][1], False)],
    "cut short": lambda chunks: [(chunks[0][0], chunks[0][1][:-1], False)],
    "nothing": lambda _: [(0, b"", False)],
    "random bytes": lambda _: [(0, Random(1).randbytes(200), False)],
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_another_order_is_refused(wrong, source, target):
    """Every chunk has one place in its stream."""
    fill(source, 9, {b"%03d" % number: bytes([number]) * 30 for number in range(40)})
    chunks = wrong(read(source, SMALL))
    writer = SnapshotWriter(target, place(9))

    with pytest.raises(SnapshotCorrupt):
        stage(writer, chunks)


PLACE = (b"", encode_place(place(9), b"meta"))
FORGED: dict[str, tuple[list[tuple[bytes, bytes]], str]] = {
    "keys that do not ascend": ([PLACE, (b"kb", b"1"), (b"ka", b"2")], "ascend"),
    "a key twice": ([PLACE, (b"ka", b"1"), (b"ka", b"2")], "ascend"),
    "a key that is empty": ([PLACE, (b"ka", b"1"), PLACE], "empty or too long"),
    "a key that LMDB cannot keep": ([PLACE, (bytes(512), b"1")], "empty or too long"),
    "no place in the log": ([(b"ka", b"1")], "no place"),
    "half a place in the log": ([(b"", PLACE[1][:7])], "no place"),
}


@pytest.mark.parametrize(("records", "reason"), FORGED.values(), ids=FORGED.keys())
def test_a_stream_that_no_reader_makes_is_refused(records, reason, target):
    """D10: checksums that are right do not make it a state."""
    block = b"".join(_RECORD.pack(len(key), len(value)) + key + value for key, value in records)
    data = _encode_chunk(0, done=False, frame=zstandard.compress(block))

    with pytest.raises(SnapshotCorrupt, match=reason):
        SnapshotWriter(target, place(9)).stage(0, data, done=False)
    fill(target, 10, {b"still": b"usable"})


def test_a_chunk_that_unpacks_to_too_much_is_refused(target):
    """C5: its size is known, and bounded, before anything is unpacked."""
    bomb = zstandard.compress(bytes(snapshot_file.BLOCK_BYTES_MAX + 1))

    for frame in (bomb, b"no frame", zstandard.compress(b"")):
        data = _encode_chunk(0, done=False, frame=frame)
        with pytest.raises(SnapshotCorrupt, match="chunk 0"):
            SnapshotWriter(target, place(9)).stage(0, data, done=False)


@pytest.mark.parametrize("announced", [place(8), place(9, 2)], ids=["index", "term"])
def test_a_snapshot_must_be_the_one_announced(announced, source, target):
    """The message tells index, term and membership; the state inside must agree."""
    fill(source, 9, {b"a": b"1"})

    with pytest.raises(SnapshotCorrupt, match="announced"):
        stage(SnapshotWriter(target, announced), read(source))


def test_a_stream_may_start_over(source, target):
    """Offset 0 forgets what was staged, after a fault or in the middle."""
    fill(source, 9, {b"%03d" % number: bytes(30) for number in range(40)})
    chunks = read(source, SMALL)
    writer = SnapshotWriter(target, place(9))
    stage(writer, chunks[:3])
    with pytest.raises(SnapshotCorrupt):
        writer.stage(*chunks[1])

    stage(writer, chunks)
    writer.install()
    target.adopt()

    assert target.scan(b"", None, 100) == source.scan(b"", None, 100)


def test_staging_hides_from_readers_and_flushes(source, target):
    """Until it is installed the old state counts: it is read, flushed and sent as before."""
    fill(source, 9, {b"a": b"new"})
    writer = SnapshotWriter(target, place(9))
    stage(writer, read(source))

    fill(target, 4, {b"old": b"changed"})

    assert (target.applied_index, target.get(b"old"), target.get(b"a")) == (4, b"changed", None)
    reader = SnapshotReader(target, 0.0)
    assert reader.index == 4
    reader.close()
    writer.install()
    target.adopt()
    assert (target.applied_index, target.get(b"old"), target.get(b"a")) == (9, None, b"new")


def test_a_flush_that_comes_too_late_changes_nothing(source, target):
    """What was frozen before an install is older; until adopt() the owner sees its own state."""
    fill(source, 9, {b"a": b"new"})
    writer = SnapshotWriter(target, place(9))
    stage(writer, read(source))
    target.put(b"a", b"late")
    target.freeze(b"late", place(4))

    writer.install()
    target.flush()
    target.release()

    assert (target.get(b"a"), target.get(b"old"), target.applied_index) == (b"late", b"value", 3)
    target.adopt()
    target.release()
    assert (target.get(b"a"), target.get(b"old")) == (b"new", None)
    assert target.load() == source.load()
    assert target.installed


def test_a_second_install_of_the_same_is_nothing(source, target):
    """D11: a snapshot that arrives twice is idempotent; an older one never wins."""
    fill(source, 9, {b"a": b"new"})
    chunks = read(source)
    for _ in range(2):
        writer = SnapshotWriter(target, place(9))
        stage(writer, chunks)
        writer.install()
    target.adopt()
    fill(target, 10, {b"b": b"later"})

    writer = SnapshotWriter(target, place(9))
    stage(writer, chunks)
    writer.install()
    target.adopt()

    assert (target.applied_index, target.get(b"b"), target.installed) == (10, b"later", False)


def test_open_readers_survive_an_install(source, target):
    """A state that is being sent when it is replaced is sent to its end."""
    fill(target, 4, {b"%03d" % number: bytes(30) for number in range(40)})
    expected = read(target, SMALL)
    fill(source, 9, {b"a": b"new"})
    reader = SnapshotReader(target, 0.0, SMALL)
    reader.chunk(0)

    writer = SnapshotWriter(target, place(9))
    stage(writer, read(source))
    writer.install()
    assert target.get(b"old") == b"value", "until it is adopted the owner sees one state"
    target.adopt()

    assert [(offset, *reader.chunk(offset)) for offset, *_ in expected] == expected
    reader.close()


def test_a_discarded_stream_gives_back_its_space(source, target):
    """Nobody will finish it: the pages can be used again."""
    fill(source, 9, {b"%03d" % number: bytes(30) for number in range(40)})
    writer = SnapshotWriter(target, place(9))
    stage(writer, read(source, SMALL)[:5])

    writer.discard()

    with target.disk.environment.begin() as txn:
        assert txn.stat(target.slots[1])["entries"] == 0


def read(state: StateStore, block_bytes: int = snapshot_file.BLOCK_BYTES) -> Chunks:
    """The whole stream."""
    reader = SnapshotReader(state, 0.0, block_bytes)
    chunks: Chunks = []
    offset, done = 0, False
    while not done:
        data, done = reader.chunk(offset)
        chunks.append((offset, data, done))
        offset += len(data)
    reader.close()
    return chunks


def stage(writer: SnapshotWriter, chunks: Chunks) -> None:
    """Hand the chunks over, one by one."""
    for offset, data, done in chunks:
        writer.stage(offset, data, done)


def fill(
    state: StateStore, index: int, values: dict[bytes, bytes], meta: bytes = b"sessions"
) -> None:
    """Bring values to the disk, as of this index."""
    for key, value in values.items():
        state.put(key, value)
    state.freeze(meta, place(index))
    state.flush()
    state.release()
