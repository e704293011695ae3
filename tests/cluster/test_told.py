"""What the nodes of a real cluster tell in their logs: of themselves, and of each other."""

import os
import re
import socket
from contextlib import ExitStack

import pytest

from actors.sockets import PortRefused, listener
from tests.cluster.clients import ACKNOWLEDGED, put
from tests.cluster.harness import HOST, until

REFUSED_CODE = 2


def test_a_node_tells_how_it_starts_and_that_it_has_stopped(make_cluster):
    """The first line says where it is found and what it has, the last one that nothing is left."""
    cluster = make_cluster(1)
    assert put(cluster, b"key", b"value") == ACKNOWLEDGED
    node = cluster.nodes[1]
    pid = node.pid
    cluster.stop()
    first, *between, last = cluster.log_file(1).read_text().splitlines()

    where = f"client={HOST}:{node.client_port} peer={HOST}:{node.peer_port}"
    assert f"starting {where} data={cluster.data(1)} pid={pid} applied=0 last=0" in first
    assert any("became role=leader leader=1 term=" in line for line in between)
    assert not any("leader=0" in line for line in between)
    assert last.endswith("node1 stopped")

    cluster.start()
    cluster.leader()
    lines = cluster.log_file(1).read_text().splitlines()
    again = [line for line in lines if "node1 starting" in line][-1]
    found = re.search(r"applied=(\d+) last=(\d+)", again)
    assert found is not None
    applied, in_log = map(int, found.groups())
    assert 0 < applied <= in_log, "a node that stopped has flushed what it applied"


def test_a_peer_that_went_and_came_back_is_told_of_once_each(make_cluster):
    """Those that speak to it: the leader at least."""
    cluster = make_cluster(3)
    leader = cluster.leader()
    away = cluster.followers()[0]
    cluster.caught_up()
    until(lambda: news_of(cluster, leader, away)[-1:] != ["unreachable"], what="it is there")
    before = len(news_of(cluster, leader, away))

    cluster.kill(away)
    assert put(cluster, b"key", b"value") == ACKNOWLEDGED
    until(lambda: len(news_of(cluster, leader, away)) == before + 1, what="it is told to be away")
    cluster.start(away)
    cluster.caught_up()
    until(lambda: len(news_of(cluster, leader, away)) == before + 2, what="and to be back")
    assert news_of(cluster, leader, away)[before:] == ["unreachable", "reachable"]


@pytest.mark.nodes_may_fail
def test_a_node_that_finds_both_ports_taken_says_one_sentence(make_cluster):
    """The first cause is enough, and the last line gives it."""
    cluster = make_cluster(1, start=False)
    with ExitStack() as takers:
        for port in (cluster.nodes[1].client_port, cluster.nodes[1].peer_port):
            takers.enter_context(socket.create_server((HOST, port)))
        cluster.start()
        assert cluster.nodes[1].wait() == REFUSED_CODE
    lines = cluster.log_file(1).read_text().splitlines()
    assert [line for line in lines if " refused " in line] == lines[-1:]
    assert re.search(r"reason=cannot listen at \S+: Address already in use$", lines[-1])


def test_a_port_is_refused_in_words():
    """Without a number of the system's, and with one address."""
    with socket.create_server((HOST, 0)) as taker:
        port = taker.getsockname()[1]
        with pytest.raises(PortRefused) as taken:
            listener(HOST, port)
    assert str(taken.value) == f"cannot listen at {HOST}:{port}: Address already in use"
    with pytest.raises(PortRefused, match=r"^cannot listen at no.such.invalid:1: [A-Z][a-z ]+$"):
        listener("no.such.invalid", 1)
    if os.geteuid():
        with pytest.raises(PortRefused, match="Permission denied"):
            listener(HOST, 1)


def news_of(cluster, at, peer):
    """What a node has told of its line to another one, in order."""
    return re.findall(rf"peer ((?:un)?reachable) peer={peer}\n", cluster.log_file(at).read_text())
