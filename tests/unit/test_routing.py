"""The clerk's brain against real servers in a world that goes wrong."""

from random import Random

import pytest

from kv.outcomes import WRITTEN, Failed, Settled, Unknown, Why
from kv.readcalls import ReadCall
from kv.routing import Router
from messages.client import (
    LINEARIZABLE,
    NOTHING,
    PUT,
    ClientReply,
    ClientRequest,
    Hello,
    OpenSession,
    Operation,
    Reads,
    Reason,
    Refused,
    SessionOpened,
    Values,
    Welcome,
    Writes,
    Wrote,
)
from tests.unit.clerkworld import World, check


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_no_outcome_is_wrong(seed):
    """C1, C2: acknowledged is executed once and in order, failed is never executed."""
    world = World(seed)
    for step in range(600):
        world.chance()
        if step < 400:
            for clerk in range(len(world.clerks)):
                if world.random.random() < 0.3:
                    world.write(clerk, world.random.choice((0.1, 1.0, 10.0)))
                if world.random.random() < 0.1:
                    world.read(clerk, world.random.choice((0.1, 1.0, 10.0)))
        world.step()
    world.heal()
    for _ in range(2_500):
        world.group.commit(100)
        world.step()

    for router in world.clerks:
        world.settle(router.close())
    assert set(world.outcomes) == set(world.tokens)
    check(world)


@pytest.mark.parametrize("seed", range(20))
def test_when_all_is_well_again_every_call_is_done(seed):
    """Patient calls end well, however bad it was before."""
    world = World(seed)
    for step in range(300):
        world.chance()
        if step < 100:
            world.write(0, 1_000.0)
            world.read(1, 1_000.0)
        world.step()
    world.heal()
    for _ in range(2_500):
        world.group.commit(100)
        world.step()

    assert set(world.outcomes) == set(world.tokens)
    check(world)


class Talk:
    """One brain and its clock; what it asks is kept, what it is told is said here."""

    def __init__(self, endpoints: tuple[str, ...] = ("a", "b", "c")) -> None:
        self.now = 0.0
        self.router = Router(endpoints, Random(1), self.now)
        self.settled: list[Settled] = []

    def asks(self, after_s: float = 0.0) -> list[tuple[str, ClientRequest]]:
        """What it asks now."""
        self.now += after_s
        requests, settled = self.router.turn(self.now)
        self.settled += settled
        return requests

    def asks_whom(self, after_s: float = 0.0) -> list[tuple[str, type]]:
        """The same, in short."""
        return [(endpoint, type(request)) for endpoint, request in self.asks(after_s)]

    def hears(self, endpoint: str, reply: ClientReply) -> None:
        """A server says something."""
        self.router.on_reply(endpoint, reply, self.now)

    def get(self, name: str, level: int = LINEARIZABLE, timeout_s: float = 5.0) -> None:
        """Somebody reads a key."""
        self.router.read(level, ReadCall(name, name.encode(), self.now + timeout_s, b""))

    def put(self, name: str, timeout_s: float = 5.0) -> None:
        """Somebody writes a key."""
        operation = Operation(PUT, name.encode(), b"v")
        self.router.write(name, operation, self.now + timeout_s)

    def question(self) -> tuple[str, Reads]:
        """A read, the server that is asked it, and the question."""
        self.get("k")
        endpoint, question = self.asks()[-1]
        assert isinstance(question, Reads)
        return endpoint, question

    def open(self) -> str:
        """A session with a server that takes writes."""
        self.put("first")
        endpoint, opening = self.asks()[-1]
        assert isinstance(opening, OpenSession)
        self.hears(endpoint, SessionOpened(opening.request_id, 7))
        assert self.asks_whom() == [(endpoint, Writes)]
        self.hears(endpoint, Wrote(7, 1, 1, ()))
        self.asks()
        return endpoint


def test_a_hint_is_followed_at_once():
    """And the leader it names is remembered, though it was not in the list."""
    talk = Talk()
    asked, question = talk.question()
    talk.hears(asked, Refused(0, question.request_id, Reason.NOT_LEADER, "leader"))

    assert talk.asks_whom() == [("leader", Hello), ("leader", Reads)]
    assert "leader" in talk.router.endpoints


def test_servers_that_name_each_other_are_not_asked_without_end():
    """After some hints in a row it waits a moment."""
    talk = Talk(("a", "b"))
    endpoint, question = talk.question()
    rounds = 0
    while rounds < 20:
        rounds += 1
        other = "b" if endpoint == "a" else "a"
        talk.hears(endpoint, Refused(0, question.request_id, Reason.NOT_LEADER, other))
        requests = talk.asks()
        if not requests:
            break
        endpoint, again = requests[-1]
        assert isinstance(again, Reads)
        question = again

    assert rounds <= 5
    assert talk.asks(0.02)


def test_many_refusals_at_once_are_acted_on_once():
    """A server that kept questions until it led refuses them all: the first has all asked again."""
    talk = Talk()
    talk.put("w")
    questions = talk.asks()
    for number in range(10):
        talk.get(f"r{number}")
        questions += talk.asks()
    asked, again = questions[0][0], []
    for _, question in questions[1:]:
        assert isinstance(question, OpenSession | Reads)
        talk.hears(asked, Refused(0, question.request_id, Reason.NOT_LEADER, asked))
        again += talk.asks_whom()

    assert again == [(asked, Hello), (asked, OpenSession), (asked, Reads)]


def test_many_refused_frames_are_sent_again_once():
    """Refusals of frames that are sent again already say nothing new; those of the new ones do."""
    talk = Talk()
    leader = talk.open()
    for name in ("a", "b", "c", "d"):
        talk.put(name)
        talk.asks()
    again = []
    for number in (2, 3, 4, 5):
        talk.hears(leader, Refused(7, number, Reason.NOT_LEADER, leader))
        again += talk.asks_whom()
    assert again == [(leader, Hello), (leader, Writes)]

    talk.hears(leader, Refused(7, 2, Reason.UNSEATED, "other"))
    assert talk.asks_whom() == [("other", Hello), ("other", Writes)]


def test_the_session_of_an_earlier_question_is_taken():
    """Each question may be executed, and the first answer ends the asking."""
    talk = Talk()
    talk.put("k")
    asked, opening = talk.asks()[-1]
    assert isinstance(opening, OpenSession)
    talk.router.on_unreachable(asked, talk.now)
    elsewhere, second = talk.asks(0.02)[-1]
    assert isinstance(second, OpenSession) and elsewhere != asked
    talk.hears(asked, SessionOpened(opening.request_id, 7))

    assert talk.asks_whom() == [(elsewhere, Writes)]
    talk.hears(elsewhere, SessionOpened(second.request_id, 8))
    talk.put("k2")
    ((_, writes),) = talk.asks()
    assert isinstance(writes, Writes) and writes.session == 7


def test_a_late_welcome_is_not_followed():
    """It tells who led before the last move."""
    talk = Talk()
    talk.get("k")
    (asked, hello), (_, question) = talk.asks()
    assert isinstance(hello, Hello) and isinstance(question, Reads)
    for endpoint, hint in ((asked, "leader"), ("leader", asked)):
        talk.hears(endpoint, Refused(0, question.request_id, Reason.NOT_LEADER, hint))
        question = talk.asks()[-1][1]
        assert isinstance(question, Reads)
    talk.hears(asked, Welcome(hello.request_id, 1, "kvorum", 1, "leader", 500, 1_000))

    assert talk.asks() == []


def test_a_server_that_hangs_is_left():
    """First the others are asked who leads, then it goes elsewhere, and not back at once."""
    talk = Talk()
    asked, _ = talk.question()

    around = talk.asks_whom(0.3)
    assert (asked, Hello) in around and len(around) == 2
    assert talk.asks(0.1) == []
    assert talk.asks(0.25) == []  # it moves, and waits a moment
    elsewhere = talk.asks_whom(0.02)
    assert elsewhere[-1][1] is Reads and elsewhere[-1][0] != asked
    talk.router.on_unreachable(elsewhere[-1][0], talk.now)
    third = talk.asks_whom(0.02)
    assert {asked, elsewhere[0][0], third[0][0]} == {"a", "b", "c"}


def test_without_a_descriptor_only_the_server_in_use_cannot_be_done_without():
    """One that is asked who leads is as if it were away; the one in use may answer yet."""
    talk = Talk()
    asked, _ = talk.question()
    (other, *_) = [endpoint for endpoint, _ in talk.asks_whom(0.3) if endpoint != asked]

    talk.router.on_no_descriptor(other, talk.now)
    talk.asks()
    assert talk.settled == []

    talk.router.on_no_descriptor(asked, talk.now)
    talk.asks()
    assert [outcome for _, outcome in talk.settled] == [Failed(Why.NO_DESCRIPTOR)]


def test_others_tell_of_the_next_leader():
    """C4: while the server in use hangs, another one names who leads now."""
    talk = Talk()
    asked, _ = talk.question()
    other = next(endpoint for endpoint, _ in talk.asks(0.3) if endpoint != asked)
    talk.hears(other, Welcome(1, 1, "kvorum", 2, other, 500, 1_000))

    assert talk.asks_whom() == [(other, Hello), (other, Reads)]


def test_a_slow_server_is_not_asked_twice_soon():
    """It speaks, so it lives; what it was asked is sent again after seconds, then later still."""
    talk = Talk()
    talk.get("k", timeout_s=99)
    asked = talk.asks()[0][0]
    times = []
    for _ in range(200):
        if (asked, Reads) in talk.asks_whom(0.125):
            times.append(talk.now)
        talk.hears(asked, Welcome(1, 1, "kvorum", 1, asked, 500, 1_000))

    assert times == [2.0, 6.0, 14.0]


def test_an_overloaded_server_is_given_time():
    """The waits double, and only of what was refused."""
    talk = Talk()
    leader = talk.open()
    talk.put("k")
    waits = []
    for _ in range(8):
        refused = talk.now
        while not (requests := talk.asks()):
            talk.now = talk.router.due(talk.now)
        waits.append(talk.now - refused)
        assert [type(request) for _, request in requests] == [Writes]
        talk.hears(leader, Refused(7, 2, Reason.OVERLOADED, ""))

    assert waits[0] == 0
    assert waits[1] < 0.006 < waits[4] < 0.05 < waits[7] <= 0.2
    talk.now += 10
    talk.asks()
    assert talk.settled[-1] == ("k", Failed(Why.OVERLOADED))


def test_reads_whose_answers_are_too_long_are_asked_for_in_smaller_parts():
    """At once, as the server is well; part of a long answer is no sign that more would fit."""
    talk = Talk()
    for number in range(16):
        talk.get(f"k{number}")
    asked, question = talk.asks()[-1]
    assert isinstance(question, Reads)
    lengths = []
    for _ in range(5):
        talk.hears(asked, Refused(0, question.request_id, Reason.TOO_LARGE, asked))
        _, question = talk.asks()[-1]
        assert isinstance(question, Reads)
        lengths.append(len(question.keys))
    assert lengths == [16, 16, 8, 4, 2]  # of a window of 64, which is halved each time

    talk.hears(asked, Values(question.request_id, 9, 0, (b"v",)))
    talk.hears(asked, Values(question.request_id, 9, 1, (b"v",) * (len(question.keys) - 1)))
    _, later = talk.asks()[-1]
    assert isinstance(later, Reads)
    assert len(later.keys) == 2 * len(question.keys)


def test_a_full_disk_fails_writes_and_not_reads():
    """O1: at once, as the next write may find room."""
    talk = Talk()
    leader = talk.open()
    talk.put("k")
    talk.asks()
    talk.hears(leader, Refused(7, 2, Reason.DISK_FULL, ""))
    talk.get("k")

    assert talk.asks_whom() == [(leader, Reads)]
    assert talk.settled[-1] == ("k", Failed(Why.DISK_FULL))
    talk.put("k2")
    assert talk.asks_whom(0.01) == [(leader, Writes)]
    talk.hears(leader, Wrote(7, 3, 9, ()))
    talk.asks()
    assert ("k2", WRITTEN) in talk.settled


def test_a_full_disk_at_the_first_write():
    """There is not even a session yet."""
    talk = Talk()
    talk.put("k")
    asked, opening = talk.asks()[-1]
    assert isinstance(opening, OpenSession)
    talk.hears(asked, Refused(0, opening.request_id, Reason.DISK_FULL, ""))
    talk.asks()

    assert talk.settled == [("k", Failed(Why.DISK_FULL))]


def test_an_operation_that_is_too_large_does_not_hold_up_the_others():
    """It fails, and nothing takes its number."""
    talk = Talk()
    leader = talk.open()
    for name in ("a", "b", "c"):
        talk.put(name)
    talk.asks()
    talk.hears(leader, Refused(7, 3, Reason.TOO_LARGE, ""))

    ((_, again),) = talk.asks()
    assert isinstance(again, Writes)
    assert [kind for kind, _, _ in again.operations] == [PUT, NOTHING, PUT]
    assert talk.settled[-1] == ("b", Failed(Why.TOO_LARGE))


def test_frames_out_of_order_are_sent_again_once():
    """However many of them say so."""
    talk = Talk()
    leader = talk.open()
    for name in ("a", "b", "c"):
        talk.put(name)
        talk.asks()
    for _ in range(2):
        talk.hears(leader, Refused(7, 2, Reason.OUT_OF_ORDER, ""))

    ((_, again),) = talk.asks()
    assert isinstance(again, Writes)
    assert (again.first_sequence, len(again.operations)) == (2, 3)
    talk.hears(leader, Refused(7, 2, Reason.OUT_OF_ORDER, ""))
    assert talk.asks() == []


def test_another_version_ends_every_call():
    """No server of the cluster would understand."""
    talk = Talk()
    talk.put("k")
    talk.get("k")
    (asked, hello), *_ = talk.asks()
    assert isinstance(hello, Hello)
    talk.hears(asked, Refused(0, hello.request_id, Reason.BAD_VERSION, ""))
    talk.asks()

    assert {outcome for _, outcome in talk.settled} == {Failed(Why.BAD_VERSION)}
    assert len(talk.settled) == 2


def test_an_older_state_is_asked_for_again_elsewhere():
    """R5."""
    talk = Talk()
    leader = talk.open()
    talk.hears(leader, Wrote(7, 1, 50, ()))
    asked, question = talk.question()
    talk.hears(asked, Values(question.request_id, 49, 0, (b"old",)))

    assert talk.router.older_answers == 1
    elsewhere, again = talk.asks(0.02)[-1]
    assert isinstance(again, Reads)
    assert elsewhere != asked and again.request_id != question.request_id


def test_an_old_session_is_not_used_again():
    """Servers forget it after an hour without use; after half of that another is opened."""
    talk = Talk()
    leader = talk.open()
    talk.now += 1_700
    talk.put("late")

    assert talk.asks_whom() == [(leader, Writes)]
    talk.hears(leader, Wrote(7, 2, 2, ()))
    talk.asks()
    talk.now += 1_900
    talk.put("later")
    assert talk.asks_whom() == [(leader, OpenSession)]


def test_a_write_that_outlived_its_session_is_unknown_and_nobody_asks_for_another():
    """It may have been executed, and with the session nobody knows any more."""
    talk = Talk()
    leader = talk.open()
    talk.put("old", timeout_s=9_000)
    talk.asks()
    talk.now += 1_900
    talk.router.on_unreachable(leader, talk.now)

    assert OpenSession not in {kind for _, kind in talk.asks_whom(1.0)}
    talk.asks()
    (outcome,) = [found for token, found in talk.settled if token == "old"]
    assert isinstance(outcome, Unknown)


def test_an_old_session_is_not_used_while_a_read_is_on_its_way():
    """A clerk that only reads for an hour has a session that nobody used."""
    talk = Talk()
    leader = talk.open()
    talk.asks()
    talk.now += 1_900
    talk.question()
    talk.put("late")

    assert talk.asks_whom(0.01) == [(leader, OpenSession)]


def test_limits_hold_before_anything_is_sent():
    """As soon as a server has named them."""
    talk = Talk()
    asked, _ = talk.question()
    talk.hears(asked, Welcome(1, 1, "kvorum", 1, asked, 3, 1))
    talk.get("long")
    talk.put("long")
    talk.router.write("value", Operation(PUT, b"k", b"12"), 9.0)
    talk.asks()

    assert talk.settled == [(name, Failed(Why.TOO_LARGE)) for name in ("long", "long", "value")]


def test_nobody_waits_and_nothing_is_due():
    """A resting clerk says nothing, not even Hello."""
    talk = Talk()
    assert talk.asks() == []
    assert talk.router.due(0.0) == float("inf")
    talk.open()
    assert talk.asks(1_000) == []
    assert talk.router.due(talk.now) == float("inf")
