"""What lies beside the nodes' data: who supervises them, if anyone, and which cluster it is."""

import fcntl
import json
import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

RECORD = "launcher.json"
LOCK = "launcher.lock"
LOG = "launcher.log"
SOCKET = "launcher.ipc"

SOCKET_PATH_MAX = 100
"""A socket's path may not be longer than 107 bytes; a deeper one lies in a directory of its own."""


CLAIM_S = 0.3
"""is_claimed() holds the lock for a moment: whoever wants it for good tries for so long."""


class Record(NamedTuple):
    """How the cluster in this directory was started last, for verbs that are not told."""

    pid: int  # of its supervisor
    orders: str  # its mailbox
    config: str | None  # path of the file, none for the defaults
    nodes: int | None
    base_port: int | None


def claim(data: Path) -> bool:
    """Become the only supervisor of this directory, for as long as this process lives.

    The kernel gives up the claim when the process ends, however it ends: nothing goes stale. A
    file object would do so a little before, while Python takes itself apart.
    """
    lock = os.open(data / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + CLAIM_S
    while not _lock(lock, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            os.close(lock)
            return False
        time.sleep(0.01)
    return True


def is_claimed(data: Path) -> bool:
    """Whether a supervisor is alive."""
    try:
        lock = os.open(data / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _lock(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def write_record(data: Path, record: Record) -> None:
    """Keep it, whole or not at all."""
    new = data / f"{RECORD}.new"
    new.write_text(json.dumps(record._asdict(), indent=2) + "\n")
    new.replace(data / RECORD)


def read_record(data: Path) -> Record | None:
    """What was kept; none if nothing that makes sense was."""
    try:
        return Record(**json.loads((data / RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def socket_path(data: Path) -> Path:
    """Where the supervisor's mailbox may lie."""
    path = data.absolute() / SOCKET
    if len(os.fsencode(path)) <= SOCKET_PATH_MAX:
        return path
    return Path(tempfile.mkdtemp(prefix="kvorum-")) / SOCKET


def free_socket(data: Path, path: Path) -> None:
    """Remove the mailbox that socket_path() gave."""
    path.unlink(missing_ok=True)
    if path.parent != data.absolute():
        path.parent.rmdir()


def _lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
