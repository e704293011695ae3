"""A node, one of whose actors fails as soon as the file DATA/die names it (O5).

python -m tests.cluster.dying_node NAME CONFIG DATA PARENT
"""

import sys
from pathlib import Path
from typing import Any

from actors.config import load
from actors.kvserver import KVServerActor
from actors.logwriter import LogWriterActor
from actors.node import run
from actors.raft import RaftActor
from actors.statewriter import StateWriterActor
from actors.zap import ZapActor
from launch.parent import end_with

ACTORS: dict[str, Any] = {
    "zap": ZapActor,
    "logwriter": LogWriterActor,
    "statewriter": StateWriterActor,
    "raft": RaftActor,
    "kvserver": KVServerActor,
}


def let_fail(name: str, brain: Any, order: Path) -> None:  # noqa: ANN401 - a class of ACTORS
    """From now on this actor's tick looks for the order."""
    tick = brain.tick

    def tick_or_die(self: object) -> None:
        if order.exists() and order.read_text() == name:
            raise MemoryError(f"{name} was told to fail")
        tick(self)

    brain.tick = tick_or_die


if __name__ == "__main__":
    node, config, data, parent = sys.argv[1:]
    end_with(int(parent))
    for actor, its_brain in ACTORS.items():
        let_fail(actor, its_brain, Path(data) / "die")
    sys.exit(run(load(Path(config)), node, Path(data)))
