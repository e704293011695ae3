"""MIT 6.5840, lab 3B: agreement on a log; the lab's Start() is a write here."""

import time

from kvorum import Clerk
from tests.cluster.clients import (
    ACKNOWLEDGED,
    REFUSED,
    UNKNOWN,
    Client,
    assert_agreed,
    assert_linearizable,
    get,
    put,
    replicas,
)
from tests.cluster.harness import CALM, until

NOT_DONE = {REFUSED, UNKNOWN}
SHORT_S = 1.0
"""For calls that cannot succeed."""


def append(cluster, text, ids=None, timeout_s=30.0):
    """What becomes of a fresh clerk's append to the key that these tests share."""
    with Clerk(cluster.endpoints(ids)) as clerk:
        return Client(clerk, timeout_s).append(b"log", text)


def test_basic_agree_3b(make_cluster):
    """Three commands are agreed on by all, in order."""
    cluster = make_cluster(3)
    for text in (b"100 ", b"200 ", b"300 "):
        assert append(cluster, text) == ACKNOWLEDGED
    assert_agreed(cluster, b"log", b"100 200 300 ")


def test_rpc_bytes_3b(make_cluster):
    """Each command is sent to each peer once: what crosses the links is little more."""
    cluster = make_cluster(3, **CALM)
    leader = cluster.leader()
    with Clerk(cluster.endpoints()) as clerk:
        clerk.put("warm", "up")
        before = cluster.links.carried(cluster.links.peers())
        term = cluster.term()
        for number in range(10):
            clerk.put(f"{number}", bytes(50_000))
    cluster.caught_up()
    sent = cluster.links.carried(cluster.links.peers())
    assert (cluster.leader(), cluster.term()) == (leader, term), "the claim is about one term"
    number_of_bytes = sum(sent[name].bytes - before[name].bytes for name in sent)
    assert 1_000_000 <= number_of_bytes < 1_100_000


def test_follower_failure_3b(make_cluster):
    """One lost follower does no harm; with both lost nothing is agreed on."""
    cluster = make_cluster(3)
    leader, (first, second) = cluster.leader(), cluster.followers()
    assert append(cluster, b"101 ") == ACKNOWLEDGED
    cluster.cut_off(first)
    assert append(cluster, b"102 ", [leader, second]) == ACKNOWLEDGED

    cluster.part()
    assert append(cluster, b"103 ", [leader], SHORT_S) in NOT_DONE
    with Clerk(cluster.endpoints([leader])) as clerk:
        assert Client(clerk, SHORT_S).get(b"log") is None


def test_leader_failure_3b(make_cluster):
    """Without the first leader the rest agrees; without the second too there is no majority."""
    cluster = make_cluster(3)
    first = cluster.leader()
    assert append(cluster, b"101 ") == ACKNOWLEDGED
    cluster.cut_off(first)
    rest = [at for at in cluster.ids if at != first]
    assert append(cluster, b"102 ", rest) == ACKNOWLEDGED

    cluster.part()
    assert append(cluster, b"104 ", timeout_s=SHORT_S) in NOT_DONE
    cluster.heal()
    assert get(cluster, b"log") in (b"101 102 ", b"101 102 104 ")


def test_fail_agree_3b(make_cluster):
    """A follower that was away agrees again, on all that it has missed."""
    cluster = make_cluster(3)
    away = cluster.followers()[0]
    rest = [at for at in cluster.ids if at != away]
    assert append(cluster, b"101 ") == ACKNOWLEDGED
    cluster.cut_off(away)
    for text in (b"102 ", b"103 ", b"104 "):
        assert append(cluster, text, rest) == ACKNOWLEDGED

    cluster.heal()
    assert append(cluster, b"105 ") == ACKNOWLEDGED
    assert_agreed(cluster, b"log", b"101 102 103 104 105 ")


def test_fail_no_agree_3b(make_cluster):
    """With three of five away nothing is committed; when they are back, it is again."""
    cluster = make_cluster(5)
    assert append(cluster, b"10 ") == ACKNOWLEDGED
    leader, followers = cluster.leader(), cluster.followers()
    cluster.cut_off(*followers[:3])
    committed = cluster.statuses([leader])[leader].commit_index
    assert append(cluster, b"20 ", [leader, followers[3]], SHORT_S) in NOT_DONE
    assert cluster.statuses([leader])[leader].commit_index == committed

    cluster.heal()
    assert append(cluster, b"30 ") == ACKNOWLEDGED
    value = get(cluster, b"log")
    assert value in (b"10 30 ", b"10 20 30 ")
    assert_agreed(cluster, b"log", value)


def test_concurrent_starts_3b(make_cluster):
    """Commands that several clients give at once in one term are all committed."""
    cluster = make_cluster(3, **CALM)
    put(cluster, b"warm", b"up")
    term = cluster.term()
    with Clerk(cluster.endpoints()) as one, Clerk(cluster.endpoints()) as two:
        calls = [one.append_async("log", b"%d " % number) for number in range(100, 105)]
        calls += [two.append_async("log", b"%d " % number) for number in range(105, 110)]
        for call in calls:
            call.result(timeout=30)
    value = get(cluster, b"log")
    assert sorted(value.split()) == [b"%d" % number for number in range(100, 110)]
    assert_agreed(cluster, b"log", value)
    assert cluster.term() == term


def test_rejoin_3b(make_cluster):
    """A leader that was cut off with a log nobody has, rejoins, and gives that log up."""
    cluster = make_cluster(3)
    history = []
    with Clerk(cluster.endpoints()) as clerk:
        client = Client(clerk)
        assert client.put(b"log", b"101") == ACKNOWLEDGED
        first = cluster.leader()
        cluster.cut_off(first)
        with Clerk(cluster.endpoints([first])) as lost_clerk:
            lost = Client(lost_clerk, SHORT_S)
            assert {lost.put(b"log", b"%d" % number) for number in (102, 104)} <= NOT_DONE
        rest = [at for at in cluster.ids if at != first]
        second = cluster.leader(among=rest)
        assert client.put(b"log", b"103") == ACKNOWLEDGED

        cluster.cut_off(second)
        assert client.put(b"log", b"105") == ACKNOWLEDGED
        assert client.get(b"log") == b"105"
        cluster.heal()
        assert client.put(b"log", b"106") == ACKNOWLEDGED
        assert client.get(b"log") == b"106"
        history += client.history + lost.history
    assert_agreed(cluster, b"log", b"106")
    assert_linearizable(history)


def test_backup_3b(make_cluster):
    """Long logs that conflict are given up quickly, not entry by entry."""
    cluster = make_cluster(5)
    everyone = set(cluster.ids)
    with Clerk(cluster.endpoints()) as clerk:
        clerk.append("log", "begin ")
        first = cluster.leader()
        second = cluster.followers()[0]
        with Clerk(cluster.endpoints([first])) as lost:
            lost.append("log", "lost ")  # opens its session
            cluster.part({first, second}, everyone - {first, second})
            waiting = [lost.append_async("log", b"-%d " % at, timeout=SHORT_S) for at in range(50)]
            for number in range(50):
                clerk.append("log", b"%d " % number, timeout=30)
            until(lambda: all(call.done() for call in waiting))

        third = cluster.leader(among=everyone - {first, second})
        fourth = next(at for at in cluster.ids if at not in (first, second, third))
        cluster.part({third}, everyone - {third, fourth})
        for number in range(50, 100):
            clerk.append("log", b"%d " % number, timeout=30)
        cluster.heal()
        began = time.monotonic()
        clerk.append("log", "end ", timeout=30)
        cluster.caught_up()
        print(f"{time.monotonic() - began:.2f} s until all logs are one")

    words = get(cluster, b"log").split()
    kept = [word for word in words if not word.startswith(b"-")]
    assert kept == [b"begin", b"lost", *(b"%d" % number for number in range(100)), b"end"]
    assert len(set(words)) == len(words)
    assert len(set(replicas(cluster, b"log").values())) == 1


def test_count_3b(make_cluster):
    """Few messages: to elect, to agree on many commands at once, and in rest."""
    cluster = make_cluster(3, start=False, **CALM)
    cluster.start()
    cluster.leader()
    cluster.caught_up()
    elected = messages(cluster)
    with Clerk(cluster.endpoints()) as clerk:
        clerk.put("warm", "up")
        term, began, before = cluster.term(), time.monotonic(), messages(cluster)
        with clerk.pipeline() as pipeline:
            for number in range(1000):
                pipeline.append("log", f"{number} ")
    agreeing_s, agreed = time.monotonic() - began, messages(cluster) - before
    began, before = time.monotonic(), messages(cluster)
    until(lambda: messages(cluster) > before + 40)
    idle_s, idle = time.monotonic() - began, messages(cluster) - before
    assert cluster.term() == term, "the claim is about one term"

    print(f"{elected} to elect, {agreed} for 1000 writes, {idle / idle_s:.0f}/s in rest")
    heartbeats_per_s = 2 * 2 * 20  # two followers, there and back, every 50 ms
    assert agreed < 1000 + heartbeats_per_s * agreeing_s * 2
    assert idle <= heartbeats_per_s * idle_s * 2 + 20


def messages(cluster) -> int:
    """How many have been carried between nodes."""
    return sum(found.messages for found in cluster.links.carried(cluster.links.peers()).values())
