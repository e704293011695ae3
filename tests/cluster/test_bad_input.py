"""Whatever arrives at either port: counted, told once a minute, never a crash or growing memory."""

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from random import Random
from zlib import crc32

import msgpack
import pytest

from kvorum import Clerk, TooLarge
from messages.client import (
    LINEARIZABLE,
    PUT,
    AskStatus,
    ClientRequest,
    Hello,
    Operation,
    Reads,
    Reason,
    Refused,
    Welcome,
    Writes,
)
from messages.clientcodec import encode
from messages.envelope import seal
from messages.raft import Heartbeat, RequestVote
from tests.cluster.clients import ACKNOWLEDGED, Client, Crowd, assert_agreed, put
from tests.cluster.harness import CALM, HOST, Cluster, resident_bytes, until
from tests.cluster.links import ROOT
from tests.cluster.rawclerk import RawClerk

GROWTH_BYTES_MAX = 64 << 20
CONNECTIONS = 200
FLOOD_S = 5
LITTLE_MEMORY = {
    "pending_bytes_max": 4 << 20,
    "unapplied_bytes_max": 8 << 20,
    "log_trailing_entries": 10,
    "log_behind_bytes_max": 0,
    "flush_bytes": 4 << 20,
    "flush_ms": 100,
    **CALM,
}
SIGNATURE = b"\xff" + bytes(7) + b"\x01\x7f"
GREETING = (SIGNATURE + b"\x03\x01NULL").ljust(64, b"\0")
NO_SUCH_TERM = 1 << 40


@pytest.fixture
def cluster(make_cluster):
    """Three nodes that have agreed on something; afterwards they are as they were."""
    made: Cluster = make_cluster(3)
    assert put(made, b"key", b"value") == ACKNOWLEDGED
    made.caught_up()
    pids = {at: made.nodes[at].pid for at in made.ids}
    before = {at: resident_bytes(pid) for at, pid in pids.items()}
    yield made
    assert put(made, b"key", b"later") == ACKNOWLEDGED
    assert_agreed(made, b"key", b"later")
    assert made.term() < NO_SUCH_TERM
    grown = {at: resident_bytes(pid) - before[at] for at, pid in pids.items()}
    print("RSS grown by", {at: f"{size >> 20} MiB" for at, size in grown.items()})
    assert max(grown.values()) < GROWTH_BYTES_MAX
    assert made.failures() == []


def streams(chance: Random) -> list[bytes]:
    """What some stranger may send over a plain connection."""
    long_frame = b"\x02" + (1 << 62).to_bytes(8, "big")
    ready = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
    return [
        b"",
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        chance.randbytes(chance.randrange(1, 2000)),
        SIGNATURE,
        GREETING,
        GREETING + chance.randbytes(500),
        GREETING + b"\x04\xff" + chance.randbytes(255),
        GREETING + ready + long_frame + bytes(10_000),
        GREETING + ready + b"\x00\x05short"[: chance.randrange(7)],
        GREETING.replace(b"\x03\x01", b"\x09\x09") + chance.randbytes(100),
        (SIGNATURE + b"\x03\x01PLAIN").ljust(64, b"\0") + chance.randbytes(100),
    ]


@pytest.mark.parametrize("port", ["client_port", "peer_port"])
def test_strangers_bytes_are_ignored(cluster, port):
    """Random bytes, another protocol, broken and endless frames, connections cut anywhere."""
    chance = Random(1)
    for _ in range(CONNECTIONS // 10):
        for stream in streams(chance):
            for node in cluster.nodes.values():
                with suppress(OSError), socket.create_connection((HOST, getattr(node, port))) as to:
                    to.sendall(stream)


def test_connections_that_say_nothing_cost_little(cluster):
    """Many are held open in silence while others are served."""
    held = []
    for node in cluster.nodes.values():
        for port in (node.client_port, node.peer_port):
            held += [socket.create_connection((HOST, port)) for _ in range(CONNECTIONS // 3)]
    assert put(cluster, b"key", b"meanwhile") == ACKNOWLEDGED
    for connection in held:
        connection.close()


def requests(chance: Random) -> list[bytes]:
    """What a broken clerk may send in a frame."""
    good = encode(Writes(1, 1, 1, (Operation(PUT, b"key", b"broken"),)))
    deep = b"\x91" * 5000
    return [
        b"",
        chance.randbytes(chance.randrange(1, 1000)),
        good[: chance.randrange(len(good))],
        good + b"\0",
        bytes([good[0] ^ 1 << chance.randrange(8)]) + good[1:],
        msgpack.packb((99, 1, 2, 3)),
        msgpack.packb((-1,)),
        msgpack.packb((True, 1, 1)),
        msgpack.packb({1: 2}),
        msgpack.packb((5, -1)),
        msgpack.packb((5, 1 << 63)),
        msgpack.packb((5, "one")),
        msgpack.packb((5, 1, 1)),
        msgpack.packb((3, 1, 1, 1, ())),
        msgpack.packb((3, 1, 1, 1, ((7, b"k", b"v"),))),
        msgpack.packb((3, 1, 1, 1, ((1, b"", b"v"),))),
        msgpack.packb((3, 1, 1, 1, ((1, bytes(501), b"v"),))),
        msgpack.packb((65, 1, 1, "kvorum", 1, "", 500, 500)),
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        deep,
    ]


def test_broken_requests_are_refused(cluster):
    """Each is answered as no request, or not at all; none is executed, the next good one is."""
    chance = Random(2)
    for node in cluster.nodes.values():
        with RawClerk(node.endpoint) as clerk:
            for _ in range(20):
                for request in requests(chance):
                    clerk.send_bytes(request)
            clerk.send_bytes(b"two", b"frames")
            clerk.send_bytes(b"", encode(AskStatus(1)))
            answers = []
            clerk.send(Hello(4711, 1))
            while not (isinstance(found := clerk.hear(), Welcome) and found.request_id == 4711):
                assert found is not None
                answers.append(found)
            reasons = {found.reason for found in answers if isinstance(found, Refused)}
            assert Reason.BAD_REQUEST in reasons
    for at in cluster.ids:
        until(partial(cluster.told, at, "refused from clients"))
    with Clerk(cluster.endpoints(), timeout=30) as whole:
        assert whole.get("key") == b"value"


def test_another_version_is_refused(cluster):
    """Of clerks, with a reason; of nodes, by silence."""
    with RawClerk(cluster.nodes[1].endpoint) as clerk:
        reply = clerk.hello(version=2)
        assert isinstance(reply, Refused)
        assert reply.reason == Reason.BAD_VERSION


def envelopes(chance: Random, target: int) -> list[bytes]:
    """What a broken, or a foreign, node may send in a frame."""
    vote = RequestVote(0, 2, target, NO_SUCH_TERM, 1 << 30, NO_SUCH_TERM, False)
    beat = Heartbeat._make([0, 2, target, NO_SUCH_TERM, *[1] * (len(Heartbeat._fields) - 4)])
    good = next(iter(seal("kvorum", 2, target, [vote])))
    foreign = [
        *seal("another", 2, target, [vote, beat]),
        *seal("kvorum", 2, target + 1, [vote]),
        *seal("kvorum", 9, target, [vote]),
        *seal("kvorum", target, target, [vote]),
    ]
    flipped = bytearray(good)
    flipped[chance.randrange(len(good))] ^= 1 << chance.randrange(8)
    old = (99, "kvorum", 2, target, ())
    return [
        b"",
        b"1234",
        chance.randbytes(chance.randrange(1, 1000)),
        good[: chance.randrange(len(good))],
        bytes(flipped),
        checked(msgpack.packb(old)),
        checked(msgpack.packb((1, "kvorum", 2, target, (b"no message",)))),
        checked(msgpack.packb((1, "kvorum", 2, target, (msgpack.packb((250, 1)),)))),
        checked(msgpack.packb((1, "kvorum", 2, target, ("text",)))),
        checked(b"\x91" * 5000),
        checked(b"\xdd\xff\xff\xff\xff"),
        *foreign,
    ]


def checked(body: bytes) -> bytes:
    """With the checksum that a node would set."""
    return crc32(body).to_bytes(4, "big") + body


def test_broken_and_foreign_envelopes_are_dropped(cluster):
    """None of their terms is believed; what was wrong is told."""
    chance = Random(3)
    for at, node in cluster.nodes.items():
        with RawClerk(f"{HOST}:{node.peer_port}") as stranger:
            for _ in range(50):
                for envelope in envelopes(chance, at):
                    stranger.send_bytes(envelope)
            stranger.send_bytes(b"two", b"frames")
            until(partial(cluster.told, at, "refused from peers"))


def test_oversized_frames_end_their_connection(cluster):
    """A frame beyond the bound is never taken in; keys and values beyond theirs are refused."""
    for node in cluster.nodes.values():
        for port in (node.client_port, node.peer_port):
            with RawClerk(f"{HOST}:{port}") as clerk:
                clerk.send_bytes(bytes(64 << 20))
                assert clerk.hear(timeout_s=0.2) is None
    with Clerk(cluster.endpoints(), timeout=30) as clerk:
        with pytest.raises(TooLarge, match="500 bytes"):
            clerk.put(bytes(501), b"")
        with pytest.raises(TooLarge, match="1048576"):
            clerk.put(b"key", bytes((1 << 20) + 1))
        with pytest.raises(ValueError, match="empty"):
            clerk.put(b"", b"")
        clerk.put(bytes(500), bytes(1 << 20))
        assert clerk.get(bytes(500)) == bytes(1 << 20)


def test_ten_times_the_load_is_refused_and_not_kept(make_cluster):
    """Clerks that want to write far more than fits: Overloaded is said, memory stays bounded.

    Each clerk has up to 1 MiB on its way, so 42 are ten times what a node lets wait.
    """
    cluster = make_cluster(3, **LITTLE_MEMORY)
    leader = cluster.nodes[cluster.leader()]
    early = resident_bytes(leader.pid)
    value = os.urandom(100_000)

    def put_many(client: Client, number: int, _: Random) -> None:
        client.append_together(b"many/%d/%d" % (number, len(client.attempts)), [value] * 20)
        client.attempts.clear()

    crowd = Crowd(cluster.endpoints(), 42, put_many)
    peak, reasons = early, set()
    deadline = time.monotonic() + 5
    with RawClerk(leader.endpoint, timeout_s=0.05) as asker:
        while time.monotonic() < deadline and crowd.acknowledged < 3000:
            reply = asker.ask(Writes(1, 1 << 40, 1, (Operation(PUT, b"k", value),)))
            reasons.add(getattr(reply, "reason", None))
            peak = max(peak, resident_bytes(leader.pid))
    crowd.stop()
    print(f"{crowd.acknowledged} writes of 100 kB; RSS {early >> 20}, at most {peak >> 20} MiB")
    assert Reason.OVERLOADED in reasons
    assert peak - early < 320 << 20
    assert put(cluster, b"key", b"value") == ACKNOWLEDGED


FLOODS: dict[str, ClientRequest] = {
    "tiny": Reads(1, LINEARIZABLE, (b"key",)),
    "large": Writes(1, 1 << 40, 1, (Operation(PUT, b"key", bytes(100_000)),)),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_who_never_waits_is_hung_up_on_and_not_kept(make_cluster, tmp_path, kind):
    """Raw clients that send as fast as the machine can: others are served, memory stays bounded."""
    cluster = make_cluster(1, **LITTLE_MEMORY)
    leader = cluster.nodes[cluster.leader()]
    early = peak = resident_bytes(leader.pid)
    (tmp_path / "frame").write_bytes(encode(FLOODS[kind]))
    command = (sys.executable, "-m", "tests.cluster.flooder", HOST, str(leader.client_port))
    flooders = [
        subprocess.Popen([*command, str(tmp_path / "frame"), str(FLOOD_S)], cwd=ROOT)
        for _ in range(2)
    ]
    served = 0
    with RawClerk(leader.endpoint, timeout_s=0.2) as asker:
        while any(flooder.poll() is None for flooder in flooders):
            served += isinstance(asker.hello(), Welcome)
            peak = max(peak, resident_bytes(leader.pid))
    print(f"RSS {early >> 20} MiB, at most {peak >> 20} MiB; {served} others served")
    assert [flooder.wait() for flooder in flooders] == [0, 0]
    assert peak - early < 768 << 20
    assert served
    assert put(cluster, b"key", b"value") == ACKNOWLEDGED


def test_a_reader_that_never_listens_costs_a_bounded_amount(make_cluster):
    """Long answers that nobody takes are no longer given; whoever listens gets all of them."""
    cluster = make_cluster(1)
    with Clerk(cluster.endpoints(), timeout=30) as clerk:
        clerk.put("long", bytes(1 << 20))
        node = cluster.nodes[1]
        early = peak = resident_bytes(node.pid)
        deaf_clerk = RawClerk(node.endpoint, deaf=True)
        with deaf_clerk as deaf, RawClerk(node.endpoint, timeout_s=60) as asker:
            for number in range(100):
                deaf.send(Reads(number, LINEARIZABLE, (b"long",) * 15))
            for _ in range(50):
                assert isinstance(asker.hello(), Welcome)
                peak = max(peak, resident_bytes(node.pid))
            refusal = asker.ask(Reads(1, LINEARIZABLE, (b"long",) * 100))
            assert isinstance(refusal, Refused)
            assert refusal.reason == Reason.TOO_LARGE
        print(f"RSS {early >> 20} MiB, at most {peak >> 20} MiB for 1500 MiB of answers")
        assert peak - early < 256 << 20
        with clerk.pipeline() as pipeline:
            found = [pipeline.get("long") for _ in range(100)]
        assert {len(future.result() or b"") for future in found} == {1 << 20}
