"""A node whose writes take as many seconds more as the file DATA/slow says, once it is there.

python -m tests.cluster.slow_node NAME CONFIG DATA PARENT
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from actors.config import load
from actors.node import run
from launch.parent import end_with
from storage.environment import Disk
from tests.cluster.harness import pause


def let_be_slow(order: Path) -> None:
    """From now on every durable transaction looks for the order."""
    transaction = Disk.transaction

    @contextmanager
    def slow(self: Disk, *, head_can_wait: bool = False) -> Iterator["lmdb.Transaction[bytes]"]:
        with transaction(self, head_can_wait=head_can_wait) as txn:
            yield txn
            if order.exists():
                pause(float(order.read_text()))

    setattr(Disk, "transaction", slow)  # noqa: B010 - mypy allows no other way


if __name__ == "__main__":
    node, config, data, parent = sys.argv[1:]
    end_with(int(parent))
    let_be_slow(Path(data) / "slow")
    sys.exit(run(load(Path(config)), node, Path(data)))
