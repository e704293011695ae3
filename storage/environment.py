"""Opening what is kept: whose it is, who else holds it, how far it grows, when the disk is full.

The directory of a node:
    member   says whose directory it is; locked while a process has it open
    log/     the LMDB environment of storage/log.py
    state/   the LMDB environment of storage/state.py
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import lmdb

from storage.mapping import Mapping
from storage.tail import sync_head, write_lost_again

FORMAT = 1
"""Of everything below a node's directory; a later one is refused by an earlier program."""

MAP_BYTES = 1 << 40
"""Address space, not disk: the files are sparse and grow as they are filled."""

MAP_BYTES_MIN = 1 << 30
"""A system that refuses even this much address space is not one to keep data on."""

READERS_MAX = 126
DATABASES_MAX = 8

RESERVE_BYTES = 64 * 1024 * 1024
"""Below this much free space commands are refused, so that terms, votes and memberships fit."""

FULL_BYTES = 1024 * 1024
"""LMDB reports a short write as an input/output error; with less free than this, it was one."""

UNWRITTEN_PAGES_MAX = 64
"""So many pages at the end of a file may be missing without harm."""

RESERVE = "reserve"
"""Beside the log: space that is held for when the disk is full."""

_MEMBER = "member"
_CREATING = "creating"
_BESIDE = {".log", ".pid"}
"""Endings of files that whoever starts the node may put beside ours."""

_IDENTITY = b"identity"
_FULL = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_TOO_LARGE = tuple(os.strerror(code) for code in (errno.ENOMEM, errno.EFBIG, errno.EOVERFLOW))


class StorageRefused(Exception):
    """What is on disk cannot be used; the sentence tells a user why, and what would help."""


class DiskFull(Exception):
    """Nothing was written; a new transaction works as soon as there is space."""


class DiskFailed(Exception):
    """A write or a sync failed, so nobody knows what the disk holds: the node must stop (D5)."""


class Identity(NamedTuple):
    """Whose data it is."""

    cluster: str
    node: int
    format: int = FORMAT


class Opened(NamedTuple):
    """A node's two environments, and the lock that keeps other processes out."""

    log: lmdb.Environment
    state: lmdb.Environment
    lock: BinaryIO

    def close(self) -> None:
        """Let another process have it; no transaction may be open."""
        self.log.close()
        self.state.close()
        self.lock.close()


class Disk:
    """One environment's durable transactions; after a failed one there is no other (D5)."""

    def __init__(self, environment: lmdb.Environment, reserve_bytes: int = RESERVE_BYTES) -> None:
        self.environment = environment
        self.path = Path(environment.path())
        self._directory = environment.path()  # asked about with each write, and a Path is slower
        self._reserve_bytes = reserve_bytes
        self._failed = self._is_busy = False
        self._mapping = Mapping(self.path / "data.mdb")
        self._page_bytes = environment.stat()["psize"]
        self._has_synced_head = environment.flags()["metasync"]

    def check_space(self) -> None:
        """DiskFull while less than the reserve is free."""
        if free_bytes(self._directory) < self._reserve_bytes:
            raise DiskFull(f"{self.path}: less than {self._reserve_bytes} bytes are free")

    def let_pages_go(self) -> None:
        """What was read so far counts no longer as this process's memory."""
        pages = self.environment.info()["last_pgno"] + 1
        self._mapping.let_go(pages * self._page_bytes)

    @contextmanager
    def transaction(self, *, head_can_wait: bool = False) -> Iterator["lmdb.Transaction[bytes]"]:
        """All of it durable at the end of the block, or else DiskFull or DiskFailed and nothing.

        LMDB's head is not, if it can wait for the next transaction (storage/tail.py).
        """
        if self._failed:
            raise DiskFailed(f"{self.path}: an earlier write failed")
        assert not self._is_busy, "two threads write at a time"
        self._is_busy = True
        is_committed = False
        try:
            with self.environment.begin(write=True) as txn:
                yield txn
            is_committed = True
            if not (head_can_wait or self._has_synced_head):
                self.environment.sync(True)  # noqa: FBT003 - before lmdb 3.0 it takes no keyword
        except lmdb.Error as error:
            if not is_committed and _is_full(error, self.path):
                raise DiskFull(f"{self.path}: {error}") from error
            self._failed = True
            raise DiskFailed(f"{self.path}: {error}") from error
        finally:
            self._is_busy = False


def free_bytes(path: Path | str) -> int:
    """What is left on the file system for us."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def open_node(directory: Path, identity: Identity) -> Opened:
    """A node's log and state; a directory that says it was a member never opens as empty (D12)."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = _lock(directory)
    except OSError as error:
        raise StorageRefused(f"cannot use {directory}: {error.strerror}") from error
    with ExitStack() as undo:
        undo.callback(lock.close)
        is_member = _check_member(directory, lock, identity)
        if not is_member:
            _create(directory, identity)
        log = open_log(directory / "log", identity, must_exist=is_member)
        undo.callback(log.close)
        state = open_environment(directory / "state", identity, must_exist=is_member)
        undo.callback(state.close)
        if not is_member:
            _check_unused(log)
            _check_unused(state)
            _become_member(directory, lock, identity)
        undo.pop_all()
    return Opened(log, state, lock)


def open_log(path: Path, identity: Identity, *, must_exist: bool = False) -> lmdb.Environment:
    """As open_environment, with what a power cut has hidden of it (storage/tail.py)."""
    environment = open_environment(path, identity, must_exist=must_exist, metasync=False)
    try:
        sync_head(environment)
        _write_lost_again(environment, path / RESERVE)
    except (ValueError, OSError, lmdb.Error) as error:
        environment.close()
        if _is_full(error, path):
            raise DiskFull(f"{path}: {error}") from error
        raise StorageRefused(f"{path} is damaged, or cannot be written: {error}") from error
    return environment


def _write_lost_again(environment: lmdb.Environment, reserve: Path) -> None:
    """On a full disk in the space that is held for such a thing (storage/reserve.py)."""
    try:
        write_lost_again(environment)
    except (OSError, lmdb.Error) as error:
        if not (_is_full(error, reserve.parent) and reserve.exists()):
            raise
        os.truncate(reserve, 0)
        write_lost_again(environment)


def open_environment(
    path: Path,
    identity: Identity,
    *,
    readers_max: int = READERS_MAX,
    must_exist: bool = False,
    metasync: bool = True,
) -> lmdb.Environment:
    """The environment in this directory, new if it may be; refused if it is not this node's."""
    try:
        path.mkdir(exist_ok=True)
        is_strange = not (path / "data.mdb").exists() and any(path.iterdir())
    except OSError as error:
        raise StorageRefused(f"cannot use {path}: {error.strerror}") from error
    if is_strange:
        raise StorageRefused(f"{path} is not empty, and what it holds is not Kvorum's")
    environment = _open(path, readers_max, metasync=metasync)
    try:
        _check_length(environment)
        environment.reader_check()  # readers that were killed would pin their pages for ever
        _check_identity(environment, identity, must_exist)
    except BaseException:
        environment.close()
        raise
    return environment


def _lock(directory: Path) -> BinaryIO:
    lock = (directory / _MEMBER).open("a+b")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StorageRefused(f"{directory} is in use by another process") from error
    return lock


def _check_member(directory: Path, lock: BinaryIO, identity: Identity) -> bool:
    """Whether this node lived here before; refused if another did, or if something is gone."""
    lock.seek(0)
    written = lock.read()
    names = {path.name for path in directory.iterdir() if path.suffix not in _BESIDE}
    if not written.endswith(b"\n"):  # nothing, or cut short while it was written
        if strange := names - {_MEMBER, _CREATING, "log", "state"}:
            raise StorageRefused(f"{directory} is not empty: {min(strange)} is not Kvorum's")
        return False
    _compare(directory, _decode(directory, written), identity)
    if missing := [name for name in ("log", "state") if not _has_data(directory / name)]:
        raise StorageRefused(
            f"{directory} belongs to a member, but its {missing[0]}/ is gone: "
            "put it back, or replace the node by a new one with another id"
        )
    return True


def _has_data(path: Path) -> bool:
    """LMDB would take a missing or empty file for a new environment; two pages are its head."""
    file = path / "data.mdb"
    return file.exists() and file.stat().st_size >= 2 * os.sysconf("SC_PAGE_SIZE")


def _create(directory: Path, identity: Identity) -> None:
    """Make what is not there yet, each whole before it has its name, so that a crash may come."""
    creating = directory / _CREATING
    shutil.rmtree(creating, ignore_errors=True)
    for name in ("log", "state"):
        if not (directory / name).exists():
            creating.mkdir(exist_ok=True)
            open_environment(creating / name, identity).close()
            _sync_directory(creating / name)
            (creating / name).rename(directory / name)
    shutil.rmtree(creating, ignore_errors=True)


def _check_unused(environment: lmdb.Environment) -> None:
    """Without a member's mark nothing can have been written but the identity."""
    if environment.stat()["entries"] > 1:
        raise StorageRefused(
            f"{environment.path()} holds data, but no file `{_MEMBER}` beside it says whose: "
            "restore the whole directory, or replace the node by a new one with another id"
        )


def _become_member(directory: Path, lock: BinaryIO, identity: Identity) -> None:
    """From now on this directory never opens as empty."""
    _sync_directory(directory)
    lock.truncate(0)
    lock.write(_encode(identity) + b"\n")
    lock.flush()
    os.fsync(lock.fileno())
    _sync_directory(directory.parent)


def _open(path: Path, readers_max: int, *, metasync: bool) -> lmdb.Environment:
    """Opened with as much address space as the system gives."""
    map_bytes = MAP_BYTES
    while True:
        try:
            return lmdb.open(
                str(path),
                map_size=map_bytes,
                subdir=True,
                max_readers=readers_max,
                max_dbs=DATABASES_MAX,
                metasync=metasync,  # without it a power cut takes back the last commit
                sync=True,  # and without this it mixes what was written
                writemap=False,  # a full disk would be SIGBUS
            )
        except lmdb.Error as error:
            if _is_full(error, path) and map_bytes == MAP_BYTES:
                raise DiskFull(f"{path}: {error}") from error
            if not _names(error, _TOO_LARGE) or map_bytes <= MAP_BYTES_MIN:
                raise StorageRefused(f"cannot open {path}: {error}") from error
            map_bytes //= 2


def _check_length(environment: lmdb.Environment) -> None:
    """Refuse a file that was cut short: to touch what is missing would be SIGBUS.

    The last pages that LMDB counts need not be written, if the transaction that took them left them
    again; it takes such pages first, so they are few.
    """
    file = Path(environment.path()) / "data.mdb"
    size, page = file.stat().st_size, environment.stat()["psize"]
    missing = (environment.info()["last_pgno"] + 1) * page - size
    if missing > UNWRITTEN_PAGES_MAX * page or (missing > 0 and size % page):
        raise StorageRefused(
            f"{file} was cut short, {missing} bytes are missing: "
            "restore the directory, or replace the node by a new one with another id"
        )


def _check_identity(
    environment: lmdb.Environment,
    identity: Identity,
    must_exist: bool,  # noqa: FBT001 passed on
) -> None:
    path = Path(environment.path())
    try:
        with environment.begin() as txn:
            found = txn.get(_IDENTITY)
            is_empty = txn.stat()["entries"] == 0
    except lmdb.Error as error:
        raise StorageRefused(f"{path} is damaged: {error}") from error
    if found is not None:
        _compare(path, _decode(path, found), identity)
    elif is_empty and not must_exist:  # LMDB makes a new one of a file cut to almost nothing
        with Disk(environment).transaction() as txn:
            txn.put(_IDENTITY, _encode(identity))
    else:
        raise StorageRefused(f"{path} holds no data of Kvorum's, or it is damaged")


def _compare(path: Path, found: Identity, wanted: Identity) -> None:
    if found.format != wanted.format:
        raise StorageRefused(
            f"{path} is written in format {found.format}; this program reads {wanted.format}"
        )
    if found.cluster != wanted.cluster:
        raise StorageRefused(
            f"{path} belongs to cluster {found.cluster!r}, not to {wanted.cluster!r}"
        )
    if found.node != wanted.node:
        raise StorageRefused(f"{path} belongs to node {found.node}, not to node {wanted.node}")


def _encode(identity: Identity) -> bytes:
    return json.dumps(identity._asdict()).encode()


def _decode(path: Path, written: bytes) -> Identity:
    try:
        return Identity(**json.loads(written))
    except (ValueError, TypeError) as error:
        raise StorageRefused(f"{path} does not say whose it is: that is damaged") from error


def _is_full(error: Exception, path: Path) -> bool:
    if isinstance(error, lmdb.MapFullError) or _names(error, _FULL):
        return True
    return os.strerror(errno.EIO) in str(error) and free_bytes(path) < FULL_BYTES


def _names(error: Exception, reasons: tuple[str, ...]) -> bool:
    return any(reason in str(error) for reason in reasons)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
