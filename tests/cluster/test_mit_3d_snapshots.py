"""MIT 6.5840, lab 3D: a log that is cut, and snapshots for whoever needs what was cut off."""

from random import Random

from tests.cluster.clients import assert_agreed, replicas
from tests.cluster.generic import SNAPSHOTS, assert_log_is_short
from tests.cluster.lagging import INSTALLED, WRITES, Writer, outrun
from tests.cluster.links import UNRELIABLE


def test_snapshot_basic_3d(make_cluster):
    """The log is cut behind what the state on disk holds, and nothing is lost by it."""
    cluster = make_cluster(3, **SNAPSHOTS)
    with Writer(cluster) as writer:
        writer.write(5 * WRITES)
        assert_log_is_short(cluster)
        cluster.restart()
        writer.write(1)
        assert_agreed(cluster, b"log", writer.value)


def lag(make_cluster, *, unreliable=False, crash=False):
    """Again and again a node is away until its log has been cut at the others, and comes back."""
    cluster = make_cluster(3, **SNAPSHOTS)
    if unreliable:
        cluster.unreliable(**UNRELIABLE)
    chance = Random(3)
    with Writer(cluster) as writer:
        writer.write()
        for turn in range(3):
            away = cluster.leader() if turn % 2 else chance.choice(cluster.followers())
            behind = cluster.statuses([away])[away].last_index
            if crash:
                cluster.kill(away)
            else:
                cluster.cut_off(away)
            outrun(cluster, writer, away, behind)
            if crash:
                cluster.start(away)
            else:
                cluster.heal()
            writer.write(1)
            cluster.caught_up()
        cluster.unreliable()
        assert_agreed(cluster, b"log", writer.value)
    assert any(cluster.told(at, INSTALLED) for at in cluster.ids)


def test_snapshot_install_3d(make_cluster):
    """A node that was cut off is sent a snapshot."""
    lag(make_cluster)


def test_snapshot_install_unreliable_3d(make_cluster):
    """The same over a bad network."""
    lag(make_cluster, unreliable=True)


def test_snapshot_install_crash_3d(make_cluster):
    """A node that had crashed is sent a snapshot."""
    lag(make_cluster, crash=True)


def test_snapshot_install_un_crash_3d(make_cluster):
    """The same over a bad network."""
    lag(make_cluster, unreliable=True, crash=True)


def test_snapshot_all_crash_3d(make_cluster):
    """All crash and start from state and log, again and again, and go on where they were."""
    cluster = make_cluster(3, **SNAPSHOTS)
    with Writer(cluster) as writer:
        for _ in range(3):
            writer.write()
            cluster.caught_up()
            before = {at: found.commit_index for at, found in cluster.statuses().items()}
            cluster.restart()
            cluster.caught_up()
            after = cluster.statuses()
            assert all(after[at].commit_index >= commit for at, commit in before.items())
        assert_agreed(cluster, b"log", writer.value)


def test_snapshot_init_3d(make_cluster):
    """Right after a crash nothing writes, and what is saved then still has the snapshot."""
    cluster = make_cluster(3, **SNAPSHOTS)
    with Writer(cluster) as writer:
        writer.write()
        assert_log_is_short(cluster)
        cluster.restart()
        cluster.leader()
        cluster.restart()
        writer.write(1)
        cluster.restart()
        cluster.leader()
        assert len(set(replicas(cluster, b"log").values())) == 1
        assert_agreed(cluster, b"log", writer.value)
