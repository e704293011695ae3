"""kv/server.py: what is let in, who waits for what, and what is answered."""

from kv.about import Limits
from kv.longanswers import ANSWER_BYTES_MAX, UNSENT_BYTES_MAX_OF_ALL, bytes_of
from kv.proposals import WAVE_BYTES_MAX, WAVE_MS_MAX, Proposals, Waiting
from kv.server import PARKED_MAX, PARKED_MS_MAX, UNTOLD_BYTES_MAX, UNTOLD_MS_MAX
from messages.batch import BATCH_BYTES_MAX, FRAMES_MAX, Batch, decode_batch, encode_batch
from messages.client import (
    LEASE,
    STALE,
    VERSION,
    AskCounters,
    AskStatus,
    Counters,
    Hello,
    OpenSession,
    Reason,
    Refused,
    Status,
    Values,
    Welcome,
    Wrote,
)
from messages.clientcodec import encode
from messages.local import (
    Applied,
    Committed,
    Marks,
    ProposalRefused,
    Proposed,
    ReadAt,
    RoleIs,
    Space,
)
from messages.raft import COMMAND, Entry
from tests.kv.conftest import ABOUT, FOLLOWER, LEADER, LIMITS, Node, get, put

NOBODY_LEADS = RoleIs("follower", 0, 3)


def refusals(replies):
    """Reason and hint of each."""
    return [(reply.reason, reply.leader) for _, reply in replies]


def test_a_write_is_answered_when_it_is_committed(node):
    """Mission row 7: not when it is proposed."""
    session = node.session()

    assert node.says(b"clerk", put(session, 1)) == []
    node.place()
    assert node.commit() == [(b"clerk", Wrote(session, 1, 2, ()))]
    assert node.store == {b"k": b"v"}


def applied_told(node):
    """What Raft hears of at the end of this turn."""
    _, to_raft = node.server.turn(node.now_ms)
    return [message.applied_index for message in to_raft if isinstance(message, Applied)]


def test_raft_hears_now_and_then_of_what_is_applied(node):
    """A word with every write would be a part of every turn."""
    entry = Entry(3, COMMAND, encode_batch(Batch(0, ())))
    node.server.on_local(Committed(1, (entry,)))
    assert applied_told(node) == []
    node.now_ms += UNTOLD_MS_MAX
    assert applied_told(node) == [1]

    node.server.on_local(Committed(2, (entry,)))
    node.server.on_frame(b"clerk", encode(get(1, b"k")))
    assert applied_told(node) == []
    node.now_ms += UNTOLD_MS_MAX
    assert applied_told(node) == [2]
    assert applied_told(node) == []


def test_raft_hears_at_once_when_much_is_applied(node):
    """It hands out no more than a bound before that."""
    entry = Entry(3, COMMAND, encode_batch(Batch(0, (bytes(UNTOLD_BYTES_MAX),))))
    node.server.on_local(Committed(1, (entry,)))

    assert applied_told(node) == [1]


def frames_proposed(node):
    """How many frames each proposal that Raft was handed holds."""
    return [len(decode_batch(message.payload).frames) for message in node.log]


def test_what_comes_while_a_wave_is_on_its_way_is_the_next_one(node):
    """Decision 0004: what Raft does for an entry is shared by all that came meanwhile."""
    session, other = node.session(), node.session(b"other")

    node.server.on_frame(b"x", b"\xc1")
    node.says(b"clerk", put(session, 1), put(session, 2))
    node.says(b"clerk", put(session, 3))
    node.says(b"other", put(other, 1))
    assert frames_proposed(node) == [2]

    node.place()
    assert len(node.commit()) == 2
    assert frames_proposed(node) == [2]
    node.place()
    assert len(node.commit()) == 2


def test_a_wave_that_takes_long_does_not_hold_up_the_next(node):
    """A majority may be far away: the next wave leaves meanwhile."""
    session = node.session()
    node.says(b"clerk", put(session, 1))
    node.now_ms += WAVE_MS_MAX - 1
    node.says(b"clerk", put(session, 2))
    assert frames_proposed(node) == [1]

    node.now_ms += 1
    node.turn()

    assert frames_proposed(node) == [1, 1]


def all_ask(node, sessions, sequence):
    """Clerks 0, 1 and so on write in one wave, which Raft has in its log."""
    for number, session in enumerate(sessions):
        node.server.on_frame(bytes([number]), encode(put(session, sequence)))
    node.turn()
    node.place()


def four_answered(node):
    """The sessions of four clerks whose writes were one wave, which is settled, as one before."""
    sessions = [node.session(bytes([at])) for at in range(4)]
    for sequence in (1, 2):
        all_ask(node, sessions, sequence)
        node.commit()
    return sessions


def test_a_wave_waits_a_moment_for_who_was_answered(node):
    """They ask again at once; to leave with the first of them would make a wave for it alone."""
    sessions = four_answered(node)
    for number in range(3):
        node.says(bytes([number]), put(sessions[number], 3))
    assert (frames_proposed(node), node.server.is_holding) == ([], True)
    node.says(b"\3", put(sessions[3], 3))
    assert (frames_proposed(node), node.server.is_holding) == ([4], False)


def test_a_wave_does_not_wait_long_for_more(node):
    """Who was answered may have nothing more to ask."""
    sessions = four_answered(node)
    node.says(b"\0", put(sessions[0], 3))
    assert node.server.is_holding
    node.now_ms += 1
    node.turn()
    assert (frames_proposed(node), node.server.is_holding) == ([1], False)


def test_a_wave_does_not_wait_for_who_has_asked_for_something_else(node):
    """A read is no write, but whoever asks for it does not write meanwhile."""
    sessions = four_answered(node)
    for number in range(3):
        node.says(bytes([number]), put(sessions[number], 3))
    node.says(b"\3", get(1, b"k"))
    assert (frames_proposed(node), node.server.is_holding) == ([3], False)


def test_two_clerks_that_ask_without_a_pause_share_their_waves(node):
    """The one that asked while the other's wave was on its way waits for that other one."""
    one, other = node.session(b"one"), node.session(b"other")
    node.says(b"one", put(one, 1))
    node.says(b"other", put(other, 1))
    node.place()
    node.commit()
    assert (frames_proposed(node), node.server.is_holding) == ([], True)

    node.says(b"one", put(one, 2))
    assert frames_proposed(node) == [2]


def test_no_wave_waits_for_who_was_refused(node):
    """Who was told that it is not known what became of it looks for a leader first."""
    sessions = four_answered(node)
    all_ask(node, sessions, 3)
    node.server.on_local(FOLLOWER)
    node.server.on_local(LEADER)
    node.turn()
    node.says(b"\0", put(sessions[0], 3))
    assert not node.server.is_holding


def test_a_wave_is_no_longer_than_its_bound():
    """Each actor handles it in one turn: what is more waits until that much is settled."""
    node = Node(limits=LIMITS._replace(pending_bytes_max=10**8, value_bytes_max=10**7))
    sessions = [node.session(bytes([at])) for at in range(6)]
    for number, session in enumerate(sessions):
        value = bytes(WAVE_BYTES_MAX // 4 - 100)
        node.server.on_frame(bytes([number]), encode(put(session, 1, value=value)))
    node.turn()
    assert frames_proposed(node) == [1, 1, 1, 1]
    node.now_ms += WAVE_MS_MAX
    node.turn()
    assert frames_proposed(node) == [1, 1, 1, 1]

    node.place()
    assert len(node.commit()) == 4
    assert frames_proposed(node) == [1, 1]
    node.place()
    assert len(node.commit()) == 2
    assert node.server.backlog.frame_bytes == 0


def test_reads_leave_in_waves_too(node):
    """Decision 0004: one question for all that came while the last one was not answered."""
    node.says(b"clerk", get(1, b"k"))
    node.says(b"clerk", get(2, b"k"))
    node.says(b"other", get(3, b"k"))
    assert len(node.asked) == 1

    assert [reply.request_id for _, reply in node.answer_reads(0)] == [1]
    assert len(node.asked) == 1
    node.says(b"other", get(4, b"k"))
    node.now_ms += WAVE_MS_MAX
    node.turn()
    assert len(node.asked) == 2
    assert [reply.request_id for _, reply in node.answer_reads(0)] == [2, 3, 4]


def test_a_batch_is_closed_at_its_bound():
    """Large frames of one turn take several entries, in order; one larger still has its own."""
    node = Node(limits=LIMITS._replace(pending_bytes_max=10**7, value_bytes_max=10**6))
    session = node.session()

    sizes = [BATCH_BYTES_MAX // 2, BATCH_BYTES_MAX // 2, BATCH_BYTES_MAX + 1]
    node.says(b"clerk", *(put(session, at, value=bytes(size)) for at, size in enumerate(sizes, 1)))

    assert [len(decode_batch(message.payload).frames) for message in node.log] == [1, 1, 1]
    node.place()
    assert [reply.through for _, reply in node.commit()] == [1, 2, 3]


def test_a_frame_above_the_bound_of_all_is_let_in_alone():
    """Refused for ever, it would keep its clerk from everything behind it."""
    proposals = Proposals(bytes_max=100, client_frames_max=10)
    large = Waiting(b"clerk", 1, 1, size=101)

    assert proposals.has_room(b"clerk", large.size)
    proposals.gather(large, bytes(large.size))
    assert not proposals.has_room(b"other", 1)


def test_a_batch_holds_no_more_frames_than_its_bound():
    """Many small frames take several entries too."""
    proposals = Proposals(10**9, 10**6)
    for number in range(FRAMES_MAX + 1):
        proposals.gather(Waiting(b"clerk", 1, number, 1), b"")

    assert [len(batch) for batch in proposals.batches(0)] == [FRAMES_MAX, 1]


def test_while_waves_overlap_nobody_is_kept_who_was_answered_long_ago():
    """A distant majority keeps several on their way for ever, and clients come and go."""
    proposals = Proposals(10**9, 10**6)
    for number in range(1, 100):
        proposals.gather(Waiting(b"%d" % number, 1, 1, 1), b"")
        now_ms = number * WAVE_MS_MAX
        assert proposals.may_leave(now_ms)
        (batch,) = proposals.batches(now_ms)
        proposals.propose(number, batch)
        proposals.place(number, 3, number)
        proposals.committed(number - 1, 3)

    assert len(proposals._answered) == 1


def test_no_wave_waits_for_whose_entry_was_replaced(node):
    """They hear that this node does not lead, and ask elsewhere."""
    sessions = four_answered(node)
    all_ask(node, sessions, 3)
    assert {reply.reason for _, reply in node.commit(term=4)} == {Reason.NOT_LEADER}
    node.says(b"\0", put(sessions[0], 3))
    assert not node.server.is_holding


def test_a_follower_names_the_leader(follower):
    """Mission row 1: the clerk goes there."""
    assert refusals(follower.says(b"clerk", put(1, 1), OpenSession(5))) == [
        (Reason.NOT_LEADER, "two:2"),
        (Reason.NOT_LEADER, "two:2"),
    ]


def test_while_nobody_leads_a_clerk_hears_of_the_next_leader_at_once():
    """It finds a new leader within one round trip of its election."""
    node = Node(NOBODY_LEADS)
    assert node.says(b"clerk", put(1, 1)) == []

    node.server.on_local(FOLLOWER)

    assert node.turn() == [(b"clerk", Refused(1, 1, Reason.NOT_LEADER, "two:2"))]
    assert node.turn() == []


def test_while_nobody_leads_for_long_a_clerk_is_told_so():
    """Then it may look elsewhere: this node may be the one that is cut off."""
    node = Node(NOBODY_LEADS)
    node.says(b"clerk", put(1, 1))
    node.now_ms = PARKED_MS_MAX - 1
    assert node.turn() == []

    node.now_ms = PARKED_MS_MAX

    assert refusals(node.turn()) == [(Reason.NOT_LEADER, "")]


def test_no_more_clerks_wait_for_a_leader_than_their_bound():
    """Beyond it they are told at once."""
    node = Node(NOBODY_LEADS)

    replies = node.says(b"clerk", *(put(1, number + 1) for number in range(PARKED_MAX + 1)))

    assert refusals(replies) == [(Reason.NOT_LEADER, "")]


def test_who_loses_leadership_tells_its_clerks_to_retry(node):
    """Mission row 7: nobody knows what becomes of what was proposed; sessions make retries safe."""
    session = node.session()
    node.says(b"clerk", put(session, 1))
    node.place()
    node.now_ms += WAVE_MS_MAX
    node.says(b"clerk", put(session, 2))
    node.says(b"clerk", put(session, 3))

    node.server.on_local(FOLLOWER)

    never_proposed, *proposed = refusals(node.turn())
    assert never_proposed == (Reason.NOT_LEADER, "two:2")
    assert proposed == [(Reason.UNSEATED, "two:2")] * 2
    del node.log[1:]
    assert node.commit() == []  # applied, and answered no more
    assert node.store == {b"k": b"v"}


def test_a_write_whose_entry_was_overwritten_is_told_to_retry(node):
    """Mission row 7: at its index lies another leader's entry."""
    session = node.session()
    node.says(b"clerk", put(session, 1))
    node.place()
    node.log[:] = [node.log[0]._replace(payload=b"")]

    replies = node.commit(term=4)

    assert refusals(replies) == [(Reason.NOT_LEADER, "one:1")]
    assert node.store == {}


def test_a_proposal_that_raft_refuses_was_not_executed(node):
    """C1: each refusal has its meaning for a clerk."""
    session = node.session()
    names = ["OVERLOADED", "DISK_FULL", "TOO_LARGE", "TRANSFERRING", "NOT_LEADER"]
    for number, _ in enumerate(names, 1):
        node.now_ms += WAVE_MS_MAX
        node.says(bytes([number]), put(session, number))

    for message, name in zip(node.log, names, strict=True):
        node.server.on_local(ProposalRefused(message.number, name))

    assert [reason for reason, _ in refusals(node.turn())] == [
        Reason.OVERLOADED,
        Reason.DISK_FULL,
        Reason.TOO_LARGE,
        Reason.OVERLOADED,
        Reason.NOT_LEADER,
    ]


def test_a_clerk_has_no_more_frames_waiting_than_its_bound(node):
    """O3: beyond it OVERLOADED; answered frames make room again, other clerks have their own."""
    session = node.session()
    frames = [put(session, number) for number in range(1, 5)]

    assert refusals(node.says(b"clerk", *frames)) == [(Reason.OVERLOADED, "one:1")]
    assert node.says(b"other", put(session, 4)) == []
    node.place()
    node.commit()
    assert node.says(b"clerk", put(session, 5)) == []


def test_no_more_bytes_wait_than_their_bound(node):
    """O3: a node under more load than it can take refuses and does not grow."""
    session = node.session()
    frames = [put(session, number, value=bytes(990)) for number in range(1, 8)]

    replies = [reply for at, frame in enumerate(frames) for reply in node.says(bytes([at]), frame)]

    assert refusals(replies) == [(Reason.OVERLOADED, "one:1")] * 3


def test_what_passes_a_limit_is_refused_before_the_log(node):
    """The refusal names the operation; nothing of its frame was executed."""
    session = node.session()
    large = put(session, 3)
    two = large._replace(operations=(*large.operations, *put(0, 0, value=bytes(1_001)).operations))

    replies = node.says(b"clerk", put(session, 2, key=bytes(101)), two)

    assert [reply for _, reply in replies] == [
        Refused(session, 2, Reason.TOO_LARGE, "one:1"),
        Refused(session, 4, Reason.TOO_LARGE, "one:1"),
    ]
    assert node.log == []


def test_a_full_disk_refuses_changes_and_answers_reads(node):
    """O1: and when there is space again, writes work again."""
    session = node.session()
    node.server.on_local(Space(is_left=False))

    assert refusals(node.says(b"clerk", put(session, 1))) == [(Reason.DISK_FULL, "one:1")]
    node.says(b"clerk", get(9, b"k"))
    assert node.answer_reads(1) == [(b"clerk", Values(9, 1, 0, (None,)))]
    node.server.on_local(Space(is_left=True))
    assert node.says(b"clerk", put(session, 1)) == []


def test_the_reads_of_a_turn_share_one_question(node):
    """Decision 7: and those that trust the lease share another."""
    node.says(b"clerk", get(1, b"a"), get(2, b"b"), get(3, b"c", level=LEASE))

    assert [question.lease for question in node.asked] == [False, True]


def test_a_read_waits_until_its_index_is_applied(node):
    """R4: an earlier state would not hold all that was acknowledged before."""
    session = node.session()
    node.says(b"clerk", put(session, 1))
    node.says(b"reader", get(7, b"k"))

    assert node.answer_reads(2) == []
    node.place()
    assert node.commit()[1] == (b"reader", Values(7, 2, 0, (b"v",)))


def test_a_stale_read_is_answered_from_what_is_here(follower):
    """Opt-in: it asks nobody."""
    assert follower.says(b"clerk", get(7, b"k", level=STALE)) == [
        (b"clerk", Values(7, 0, 0, (None,)))
    ]


def test_a_restarted_node_answers_nothing_older_than_what_it_knew():
    """R3: a stale read waits until what was committed before the restart is applied again."""
    node = Node(committed=2)
    session = node.session()

    assert node.says(b"reader", get(7, b"k", level=STALE)) == []
    node.run(b"clerk", put(session, 1))
    assert node.says(b"reader", get(8, b"k", level=STALE)) == [
        (b"reader", Values(8, 2, 0, (b"v",)))
    ]


def test_what_it_owes_is_known(node):
    """Who owes nothing looks out for the next word (decision 0016)."""
    assert node.server.owes_nothing
    node.server.on_frame(b"clerk", encode(OpenSession(1)))
    assert not node.server.owes_nothing
    node.turn()
    node.place()
    assert not node.server.owes_nothing
    node.commit()
    assert node.server.owes_nothing

    node.server.on_frame(b"reader", encode(get(1, b"k")))
    assert not node.server.owes_nothing


def test_stale_reads_that_waited_are_answered_once_it_caught_up():
    """From the state that it has then."""
    node = Node(committed=1)
    node.says(b"reader", get(7, b"k", level=STALE))

    replies = node.run(b"clerk", OpenSession(1))

    assert (b"reader", Values(7, 1, 0, (None,))) in replies
    assert not any(node.server.backlog)


def test_no_more_stale_reads_wait_than_their_bound():
    """O3: they count among all reads."""
    node = Node(committed=1)

    replies = node.says(b"reader", *(get(number, b"k", level=STALE) for number in range(4)))

    assert refusals(replies) == [(Reason.OVERLOADED, "one:1")]


def test_a_read_without_an_index_is_told_to_ask_again(follower):
    """Leadership moved while it waited."""
    follower.says(b"clerk", get(7, b"k"))

    assert follower.answer_reads(None) == [(b"clerk", Refused(0, 7, Reason.NOT_LEADER, "two:2"))]


def test_no_more_reads_wait_than_their_bound(node):
    """O3: and those that were answered make room."""
    questions = [get(number, b"k") for number in range(4)]

    assert refusals(node.says(b"clerk", *questions)) == [(Reason.OVERLOADED, "one:1")]
    node.answer_reads(0)
    assert node.says(b"clerk", questions[3]) == []


def test_a_long_answer_comes_in_parts_of_one_moment(node):
    """No reply passes what a clerk takes."""
    keys = [b"%d" % number for number in range(5)]
    node.store.update({key: bytes(1_000_000) for key in keys})

    node.says(b"clerk", get(7, *keys, b"none"))
    replies = [reply for _, reply in node.answer_reads(0)]

    assert [(reply.first, len(reply.values)) for reply in replies] == [(0, 2), (2, 2), (4, 2)]
    assert replies[2].values == (bytes(1_000_000), None)


def long_values(node, count, size=1_000_000):
    """Names of so many keys with values of that size."""
    keys = [b"%d" % number for number in range(count)]
    node.store.update(dict.fromkeys(keys, bytes(size)))
    return keys


def test_an_answer_beyond_the_bound_is_refused(node):
    """O3: one question must not have a node build an answer of gigabytes; fewer keys fit."""
    keys = long_values(node, ANSWER_BYTES_MAX // 1_000_000 + 1)

    too_many = node.says(b"clerk", get(7, *keys, level=STALE))
    fewer = node.says(b"clerk", get(8, *keys[:-1], level=STALE))

    assert too_many == [(b"clerk", Refused(0, 7, Reason.TOO_LARGE, "one:1"))]
    assert sum(len(reply.values) for _, reply in fewer) == len(keys) - 1


def test_who_takes_no_answers_gets_no_more_of_them(node):
    """O3: until they have left; others are answered all the same, and so are short questions."""
    keys = long_values(node, 16)
    question = get(7, *keys, level=STALE)

    answers = [reply for _ in range(2) for _, reply in node.says(b"deaf", question)]

    assert refusals(node.says(b"deaf", question)) == [(Reason.OVERLOADED, "one:1")]
    assert node.says(b"deaf", get(8, b"none", level=STALE)) == [(b"deaf", Values(8, 0, 0, (None,)))]
    assert refusals_among(node.says(b"other", question)) == []
    for answer in answers:
        node.server.unsent.left(b"deaf", bytes_of(answer.values))
    assert refusals_among(node.says(b"deaf", question)) == []


def test_all_long_answers_together_have_a_bound(node):
    """O3: many who do not listen cost no more than that."""
    question = get(7, *long_values(node, 16), level=STALE)

    replies = [reply for at in range(20) for reply in node.says(b"%d" % at, question)]

    assert len(refusals_among(replies)) == 20 - UNSENT_BYTES_MAX_OF_ALL // 16_000_000


def refusals_among(replies):
    """Those that are refusals."""
    return [reply for _, reply in replies if isinstance(reply, Refused)]


def test_a_hello_is_welcomed_with_what_a_clerk_must_know(follower):
    """Who answers, who leads, and the limits; another version is refused."""
    replies = follower.says(b"clerk", Hello(1, VERSION), Hello(2, VERSION + 1))

    assert replies[0][1] == Welcome(1, VERSION, "kvorum", 1, "two:2", 100, 1_000)
    assert replies[1][1] == Refused(0, 2, Reason.BAD_VERSION, "two:2")


def test_a_status_tells_how_the_node_is(node):
    """Raft is asked once for all who ask."""
    node.says(b"a", AskStatus(1))
    node.says(b"b", AskStatus(2))
    node.server.on_local(Marks(9, 10, 4))

    replies = node.turn()

    assert [client for client, _ in replies] == [b"a", b"b"]
    assert replies[0][1] == Status(
        1, "kvorum", 1, "node1", "leader", 1, 3, 9, 0, 10, 4, 0, ABOUT.pid
    )


def test_what_was_counted_is_told_with_what_raft_counted(node):
    """One question to Raft serves all who ask for one or the other."""
    node.server.on_frame(b"a", encode(AskCounters(1)))
    node.says(b"b", AskStatus(2))
    node.server.on_local(Marks(9, 10, 4, (("writes", 5),)))

    (_, told), (_, status) = node.turn()

    counted = node.server.counters.counted()
    assert told == Counters(1, (("operations", 0), *counted, ("writes", 5)))
    assert status.commit_index == 9


def test_nonsense_is_counted_and_answered_once(node):
    """C5: never a crash, and nothing is kept of it."""
    node.server.on_frame(b"stranger", b"\xc1")

    assert refusals(node.turn()) == [(Reason.BAD_REQUEST, "one:1")]
    assert node.server.bad_frames == 1


def test_time_in_the_log_is_what_passed_while_leading():
    """Decision 0005: a new leader begins at none, and no pause ends sessions by waking up."""
    node = Node(FOLLOWER)
    node.now_ms = 10**9
    node.turn()
    node.server.on_local(LEADER)
    elapsed = []
    for passed in (0, WAVE_MS_MAX, 10**8):
        node.now_ms += passed
        node.says(bytes([passed % 7]), OpenSession(1))
        elapsed.append(decode_batch(node.log[-1].payload).elapsed_ms)

    assert elapsed == [0, WAVE_MS_MAX, 60_000]
    assert Batch(0, ()) == decode_batch(b"\x92\x00\x90")


def test_a_proposal_placed_after_leadership_was_lost_is_of_no_interest(node):
    """Its clerks were told to retry already."""
    session = node.session()
    node.says(b"clerk", put(session, 1))
    node.server.on_local(FOLLOWER)
    node.turn()

    node.server.on_local(Proposed(node.log[0].number, 3, 2))
    node.server.on_local(ProposalRefused(node.log[0].number, "NOT_LEADER"))

    assert node.turn() == []
    assert isinstance(LIMITS, Limits)


def test_an_unknown_context_is_our_bug(node):
    """Raft answers what it was asked, once."""
    try:
        node.server.on_local(ReadAt(99, 1))
    except KeyError:
        return
    raise AssertionError
