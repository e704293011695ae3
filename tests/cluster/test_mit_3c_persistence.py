"""MIT 6.5840, lab 3C: what survives crashes and bad networks; a crash is SIGKILL here."""

from random import Random

from kvorum import Clerk
from tests.cluster.clients import (
    ACKNOWLEDGED,
    UNKNOWN,
    Client,
    Crowd,
    append_in_pipelines,
    append_to_own_key,
    assert_agreed,
    assert_appended,
    assert_linearizable,
    assert_nothing_lost,
    get,
    put_and_append_anywhere,
    replicas,
)
from tests.cluster.links import UNRELIABLE

SHORT_S = 0.5


def test_persist_1_3c(make_cluster):
    """All crash; then the leader; then a follower: what was agreed is always there."""
    cluster = make_cluster(3)
    with Clerk(cluster.endpoints(), timeout=30) as clerk:
        clerk.append("log", "11 ")
        cluster.restart()
        clerk.append("log", "12 ")
        leader = cluster.leader()
        cluster.restart(leader)
        clerk.append("log", "13 ")
        leader = cluster.leader()
        cluster.kill(leader)
        clerk.append("log", "14 ")
        cluster.start(leader)
        cluster.caught_up()
        follower = cluster.followers()[0]
        cluster.kill(follower)
        clerk.append("log", "15 ")
        cluster.start(follower)
    assert_agreed(cluster, b"log", b"11 12 13 14 15 ")


def test_persist_2_3c(make_cluster):
    """Of five two crash, then the other three while those come back, three times."""
    cluster = make_cluster(5)
    texts = [b"%d " % number for number in range(10, 19)]
    with Clerk(cluster.endpoints(), timeout=30) as clerk:
        for turn in range(3):
            first, second, *rest = (cluster.ids * 2)[turn : turn + 5]
            clerk.append("log", texts[3 * turn])
            cluster.kill(first, second)
            clerk.append("log", texts[3 * turn + 1])
            cluster.kill(*rest)
            cluster.start(first, second)
            cluster.start(rest[0])
            clerk.append("log", texts[3 * turn + 2])
            cluster.start()
    assert_agreed(cluster, b"log", b"".join(texts))


def test_persist_3_3c(make_cluster):
    """A leader and one follower go on, crash, and come back in turn."""
    cluster = make_cluster(3)
    with Clerk(cluster.endpoints(), timeout=30) as clerk:
        clerk.append("log", "101 ")
        leader, (follower, away) = cluster.leader(), cluster.followers()
        cluster.cut_off(away)
        clerk.append("log", "102 ")
        cluster.kill(leader, follower)
        cluster.heal()
        cluster.start(leader)
        clerk.append("log", "103 ")
        cluster.start(follower)
        clerk.append("log", "104 ")
    assert_agreed(cluster, b"log", b"101 102 103 104 ")


def test_figure_8_3c(make_cluster):
    """Leaders crash with entries that only they, or a minority, have: nothing agreed is undone.

    The figure itself, step by step, is in tests/paper/test_5_4_safety.py; here chance draws it.
    """
    cluster = make_cluster(5)
    chance = Random(8)
    attempts = []
    for turn in range(8):
        leader = cluster.leader()
        with Clerk(cluster.endpoints([leader])) as clerk:
            client = Client(clerk, SHORT_S)
            attempts.append(client.append_own(b"log", b"+%d " % turn))
            if chance.random() < 0.5:
                cluster.cut_off(leader, *chance.sample(cluster.followers(), 1))
                attempts.append(client.append_own(b"log", b"-%d " % turn))
        cluster.kill(leader)
        cluster.heal()
        down = [at for at in cluster.ids if at not in cluster.alive()]
        if len(down) > 2 or chance.random() < 0.3:
            cluster.start(chance.choice(down))
    cluster.start()
    value = get(cluster, b"log")
    known = [attempt for attempt in attempts if attempt.outcome != UNKNOWN]
    late = [[attempt] for attempt in attempts if attempt.outcome == UNKNOWN]
    assert_appended(value, [known, *late])
    assert_agreed(cluster, b"log", value)


def test_unreliable_agree_3c(make_cluster):
    """Many writes at once over a network that loses, delays, doubles and reorders."""
    cluster = make_cluster(5)
    cluster.unreliable(**UNRELIABLE)
    crowd = Crowd(cluster.endpoints(), 5, append_in_pipelines)
    crowd.wait_for(1000)
    crowd.stop()
    cluster.unreliable()
    assert_nothing_lost(cluster, crowd)


def test_figure_8_unreliable_3c(make_cluster):
    """Leaders are cut off in the middle of writes while messages overtake each other by far."""
    cluster = make_cluster(5)
    cluster.unreliable(lose=0.1, double=0.05, hold=0.4, hold_s=0.3)
    chance = Random(9)
    attempts = []
    with Clerk(cluster.endpoints()) as clerk:
        client = Client(clerk)
        for turn in range(8):
            client.append_own(b"log", b"+%d " % turn)
            leader = cluster.leader()
            with Clerk(cluster.endpoints([leader])) as other:
                lost = Client(other, SHORT_S)
                cluster.cut_off(leader, *chance.sample(cluster.followers(), chance.randrange(2)))
                attempts.append(lost.append_own(b"log", b"-%d " % turn))
            if chance.random() < 0.5:
                cluster.heal()
        cluster.unreliable()
        assert client.append_own(b"log", b"end").outcome == ACKNOWLEDGED
    value = get(cluster, b"log")
    assert_appended(value, [client.attempts[b"log"], *([attempt] for attempt in attempts)])
    assert_agreed(cluster, b"log", value)


def churn(make_cluster, *, unreliable):
    """Nodes crash, hang and are cut off at random while clients write; nothing is lost."""
    cluster = make_cluster(5)
    if unreliable:
        cluster.unreliable(**UNRELIABLE)
    chance = Random(int(unreliable))
    own = Crowd(cluster.endpoints(), 3, append_to_own_key)
    shared = Crowd(cluster.endpoints(), 2, put_and_append_anywhere)
    for _ in range(12):
        node = chance.choice(cluster.ids)
        what = chance.choice(("cut", "kill", "start", "pause", "heal"))
        if what == "cut":
            cluster.cut_off(node)
        elif what == "kill" and len(cluster.alive()) > 3:
            cluster.kill(node)
        elif what == "pause" and len(cluster.alive()) > 3 and node in cluster.alive():
            cluster.pause(node)
            own.wait_for(10, 0.5, ok=True)
            cluster.resume(node)
        elif what == "start":
            cluster.start()
        else:
            cluster.heal()
        own.wait_for(20, 1.0, ok=True)
    cluster.unreliable()
    cluster.start()
    own.wait_for(20)
    own.stop()
    assert_linearizable(shared.stop())
    assert_nothing_lost(cluster, own)
    assert len(set(replicas(cluster, b"shared/0").values())) == 1


def test_reliable_churn_3c(make_cluster):
    """Crashes, pauses and cuts at random, over links that carry what they carry."""
    churn(make_cluster, unreliable=False)


def test_unreliable_churn_3c(make_cluster):
    """The same over links that lose, delay, double and reorder."""
    churn(make_cluster, unreliable=True)
