"""One server among liars: all that decodes, from anyone, in any state it can be brought to."""

from collections.abc import Callable
from random import Random
from typing import Any, get_type_hints

import pytest

from messages.codec import TAGS, CodecError, decode, encode, encode_membership
from messages.raft import COMMAND, MEMBERSHIP, Entry, Membership, Message
from raft import core
from raft.election import campaign
from raft.state import Config, Raft
from tests.network import Server

EVENTS = 400
MEMBERSHIPS = (
    Membership((1, 2, 3)),
    Membership((1, 2)),
    Membership((1, 2, 3), learners=(4,)),
    Membership((2, 3), (1, 2, 3)),
    Membership((2, 3), removed=(1,)),
)


@pytest.mark.parametrize("seed", range(40))
def test_only_a_second_leader_of_a_term_stops_a_server(seed):
    """§5.2: that is proof of broken safety; no other lie trips an assertion, or stops the loop."""
    random = Random(seed)
    config = Config(
        log_trailing_entries=0,
        inflight_messages_max=2,
        snapshot_retry_ticks=3,
        disk_stall_ticks_max=30,
        pre_vote=seed % 2 == 0,
        check_quorum=seed % 3 > 0,
    )
    server = Server(1, config=config)
    server.chunk_bytes = 3
    try:
        for _ in range(EVENTS):
            something_happens(server, random)
    except AssertionError as failure:
        assert "two leaders in one term" in str(failure)  # noqa: PT017 (most seeds raise none)


def something_happens(server: Server, random: Random) -> None:
    """A lie most often, else something that brings the server into another state."""
    events: dict[Callable[[], object], int] = {
        lambda: hear(server, lie(server.raft, random)): 70,
        lambda: server.tick(random.choice((1, 5, 20))): 10,
        lambda: server.do(core.propose, (b"p",)): 4,
        lambda: server.do(core.read, 1): 3,
        lambda: setattr(server, "disk_held", True): 2,
        lambda: catch_up(server): 6,
        server.save: 2,
        lambda: server.do(campaign): 1,
        lambda: server.do(core.transfer_leader, random.choice((1, 2, 3))): 1,
        lambda: server.do(core.unreachable, 2): 1,
        server.restart: 1,
    }
    (event,) = random.choices([*events], [*events.values()])
    event()


def hear(server: Server, message: Message) -> None:
    """Receive it, if it passes the door that every message has to pass."""
    try:
        decoded = decode(encode(message))
    except CodecError:
        return
    server.do(core.step, decoded)


def catch_up(server: Server) -> None:
    """The disk has done what it was given."""
    server.disk_held = False
    if server.writing:
        server.finish_write()


def lie(raft: Raft, random: Random) -> Message:
    """A message of any kind whose every field is near something that matters."""
    kind: Callable[..., Message] = random.choice([*TAGS])
    fields: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        fields[name] = value(raft, random, name, hint, fields.get("term", 0))
    return kind(**fields)


def value(raft: Raft, random: Random, name: str, hint: object, term: int) -> object:
    """What such a field may hold."""
    marks = (raft.log.truncated_index, raft.commit_index, raft.log.last_index, 10**12)
    by_name: dict[str, Callable[[], object]] = {
        "group": lambda: raft.group,
        "source": lambda: random.choice((2, 3, 4, 9)),
        "target": lambda: raft.server_id,
        "term": lambda: max(0, raft.current_term + random.choice((-1, 0, 0, 0, 0, 0, 1))),
        "entries": lambda: slice_of_log(random, term),
        "membership": lambda: random.choice(MEMBERSHIPS),
        "data": lambda: random.choice((b"", b"ab")),
        "transferee": lambda: random.choice((1, 2, 3, 4, 9)),
        "read_round": lambda: random.choice((0, 5, raft.round_number)),
        "read_id": lambda: random.choice((5, raft.read_number)),
        "offset": lambda: random.choice((0, 2, 4, 10**9)),
        "next_offset": lambda: random.choice((0, 2, 4, 10**9)),
    }
    if name in by_name:
        return by_name[name]()
    if hint is bool:
        return random.random() < 0.6
    if name.endswith("_term"):
        return random.randint(0, raft.current_term + 1)
    return max(0, random.choice(marks) + random.randint(-1, 2))


def slice_of_log(random: Random, term: int) -> tuple[Entry, ...]:
    """A few entries of rising terms, some of which change the membership."""
    terms = sorted(random.randint(1, max(1, term)) for _ in range(random.randrange(4)))
    payloads = [
        (MEMBERSHIP, encode_membership(random.choice(MEMBERSHIPS)))
        if random.random() < 0.2
        else (COMMAND, b"x")
        for _ in terms
    ]
    return tuple(Entry(at, *payload) for at, payload in zip(terms, payloads, strict=True))
