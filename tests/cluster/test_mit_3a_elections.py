"""MIT 6.5840, lab 3A: elections."""

from random import Random

from tests.cluster.clients import ACKNOWLEDGED, assert_agreed, put
from tests.cluster.harness import CALM, stays, until

NEVER_S = 1.0
"""More than three of the default's longest election timeouts: what has not happened, does not."""


def test_initial_election_3a(make_cluster):
    """One leader is elected, in one term, and both stay while nothing fails."""
    cluster = make_cluster(3, **CALM)
    leader = cluster.leader()
    until(lambda: {status.leader for status in cluster.statuses().values()} == {leader})
    term = cluster.term()
    assert term >= 1

    stays(lambda: cluster.leader() == leader and cluster.term() == term, NEVER_S)


def test_re_election_3a(make_cluster):
    """A lost leader is replaced and does no harm when it is back; no majority, no leader."""
    cluster = make_cluster(3)
    first = cluster.leader()
    cluster.cut_off(first)
    second = cluster.leader(among=[at for at in cluster.ids if at != first])
    assert second != first

    cluster.heal()
    until(lambda: cluster.statuses([first])[first].role == "follower")
    leader = cluster.leader()

    cluster.cut_off(leader, cluster.followers()[0])
    until(lambda: not leads_somewhere(cluster), what="a leader without a majority steps down")
    stays(lambda: not leads_somewhere(cluster), NEVER_S)

    cluster.part(cluster.ids[:2])
    cluster.leader(among=cluster.ids[:2])
    cluster.heal()
    cluster.leader()


def test_many_elections_3a(make_cluster):
    """Seven servers, three of them cut off at random, ten times: there is always a leader."""
    cluster = make_cluster(7)
    cluster.leader()
    chance = Random(7)
    for _ in range(10):
        away = chance.sample(cluster.ids, 3)
        cluster.cut_off(*away)
        cluster.leader(among=[at for at in cluster.ids if at not in away])
    cluster.heal()
    cluster.leader()
    assert put(cluster, b"key", b"value") == ACKNOWLEDGED
    assert_agreed(cluster, b"key", b"value")


def leads_somewhere(cluster) -> bool:
    """Whether any node believes that it leads."""
    return any(status.role == "leader" for status in cluster.statuses().values())
