"""The throw-away cluster: starts, is hurt as wished, and leaves nothing behind."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kvorum import Cluster, ClusterFailed

DEADLINE_S = 20.0


def is_alive(pid: int) -> bool:
    """A zombie is not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_node_is_hurt_and_healed():
    """It stays dead until it is started; a majority goes on without it."""
    with Cluster(nodes=3) as cluster, cluster.clerk(timeout=30) as clerk:
        clerk.put("k", "1")
        victim = cluster.leader()
        cluster.kill(victim)
        clerk.append("k", "2")
        assert cluster.leader() != victim
        cluster.start(victim)
        cluster.start(victim)  # it runs already
        other = cluster.leader()
        assert cluster.stop_node(other) == 0
        clerk.append("k", "3")
        assert clerk.get("k") == b"123"
        assert "role" in cluster.log(victim)
        with pytest.raises(ValueError, match="no node is called node9: there are node1, node2"):
            cluster.kill("node9")
        cluster.kill(victim)
        cluster.kill(victim)  # it is dead already
        with pytest.raises(ValueError, match=f"{victim} does not run"):
            cluster.pause(victim)


def test_nothing_is_left_behind():
    """Neither processes, paused ones among them, nor files."""
    with Cluster(nodes=2) as cluster:
        pids = [process.pid for process in cluster._processes.values()]
        cluster.pause("node1")
        assert all(is_alive(pid) for pid in pids)
    cluster.stop()

    assert not any(is_alive(pid) for pid in pids)
    assert not cluster.directory.exists()


def test_its_nodes_end_with_its_process():
    """However that ends."""
    program = (
        "from kvorum import Cluster; import os, signal\n"
        "cluster = Cluster(nodes=1)\n"
        "print(cluster._processes['node1'].pid, cluster.directory, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    pid, directory = done.stdout.split()

    ended = threading.Event()
    for _ in range(int(DEADLINE_S / 0.02)):
        if not is_alive(int(pid)):
            break
        ended.wait(0.02)
    assert not is_alive(int(pid))
    shutil.rmtree(directory)


def test_it_may_be_made_by_a_thread_that_ends():
    """The kernel ends a node with the thread that started it, so none of ours does."""
    made: list[Cluster] = []
    thread = threading.Thread(target=lambda: made.append(Cluster(nodes=1)))
    thread.start()
    thread.join()

    with made[0] as cluster, cluster.clerk(timeout=30) as clerk:
        clerk.put("k", "v")


def test_a_config_that_makes_no_sense_is_told(tmp_path):
    """With what the node said."""
    config = tmp_path / "config.yaml"
    config.write_text("tick_ms: 0\n")
    with pytest.raises(ClusterFailed, match=r"refused to start: /\S+config.yaml: tick_ms is 0"):
        Cluster(nodes=1, config=config)
