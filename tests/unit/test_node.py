"""actors/node.py: how a start that does not get through ends."""

import sys

import pytest

from actors import node
from actors.config import load
from actors.node import FAILED, REFUSED, run
from storage.environment import DiskFull, StorageRefused


@pytest.fixture(autouse=True)
def switch_interval():
    """A node sets it for its process."""
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (DiskFull("no space for what was lost"), FAILED, "disk full reason=no space"),
        (StorageRefused("it is another's"), REFUSED, "refused reason=it is another's"),
    ],
)
def test_only_a_full_disk_is_tried_again(error, code, word, monkeypatch, tmp_path, capsys):
    """O1: the supervisor starts again what failed, there may be space then; never what refused."""

    def fail(*_: object):
        raise error

    monkeypatch.setattr(node, "open_node", fail)

    assert run(load(None), "node1", tmp_path) == code
    assert word in capsys.readouterr().err
