"""raft/held.py: whom a leader tells at once, and what may reach the others with its next beat."""

import pytest

from messages.raft import AppendEntries, Heartbeat, Membership, ReadIndexReply
from raft.core import propose
from raft.held import Held
from raft.state import Config, ReadRound
from tests.network import PAPER, Server, commands

FIVE = (1, 2, 3, 4, 5)


def leader(voters=(1, 2, 3), learners=(), config=PAPER):
    """A leader whose followers all hold what it holds."""
    found = Server(1, voters=voters, learners=learners, config=config).lead()
    return found.acknowledged(*(server for server in (*voters, *learners) if server != 1))


def append(target, index):
    """One entry behind index."""
    return AppendEntries(0, 1, target, 1, index, 1, 0, commands(1))


def beat(target, *, commit=0, read_round=0):
    """A heartbeat."""
    return Heartbeat(0, 1, target, 1, commit, read_round)


def appends(servers, index):
    """One to each."""
    return [append(server, index) for server in servers]


def ticked(raft, ticks=1):
    """So many ticks later, none of them a beat."""
    raft.clock += ticks
    raft.heartbeat_elapsed += ticks
    return raft


def beaten(raft):
    """A beat later."""
    ticked(raft, 5)
    raft.heartbeat_elapsed = 0
    return raft


@pytest.fixture
def group():
    """A leader of three, and what it holds back; server 2 is told first."""
    raft, held = leader().raft, Held()
    assert held.let_go(beaten(raft), [], has_ticked=True) == []
    return raft, held


def test_a_majority_is_told_at_once_and_the_others_with_the_next_beat(group):
    """Decision 0009: they take it all in one turn, in its order."""
    raft, held = group

    assert held.let_go(raft, appends((2, 3), 1), has_ticked=False) == [append(2, 1)]
    assert held.let_go(raft, appends((2, 3), 2), has_ticked=False) == [append(2, 2)]
    for _ in range(3):
        assert held.let_go(ticked(raft), [], has_ticked=True) == []
    assert held.let_go(beaten(raft), [], has_ticked=True) == [append(3, 1), append(3, 2)]


def test_a_beat_among_several_ticks_is_one_too(group):
    """A process that stood still hands in all that passed, and then looks once."""
    raft, held = group
    held.let_go(raft, [append(3, 1)], has_ticked=False)

    assert held.let_go(ticked(beaten(raft), 3), [], has_ticked=True) == [append(3, 1)]


def test_a_leader_that_woke_late_from_beat_to_beat_missed_none(group):
    """It slept through four ticks and through one more, so more has passed since than before."""
    raft, held = group
    held.let_go(beaten(raft), [append(3, 1)], has_ticked=True)
    held.let_go(raft, [append(3, 2)], has_ticked=False)

    assert held.let_go(ticked(beaten(raft)), [], has_ticked=True) == [append(3, 2)]


def test_the_others_hear_of_a_write_that_the_first_leave_waiting_for_a_tick(group):
    """One that hangs costs a tick or two, not a beat."""
    raft, held = group
    propose(raft, (b"x",))
    assert held.let_go(ticked(raft), [append(3, 1)], has_ticked=True) == []

    assert held.let_go(ticked(raft), [], has_ticked=True) == [append(3, 1)]


def test_the_others_do_not_hear_sooner_of_writes_that_commit(group):
    """At each tick another one waits: that is load, and nobody hangs."""
    raft, held = group
    for _ in range(3):
        propose(raft, (b"x",))
        assert held.let_go(ticked(raft), [append(3, 1)], has_ticked=True) == []
        raft.commit_index += 1


def test_the_others_hear_of_a_read_that_the_first_leave_waiting_for_a_tick(group):
    """R1: any majority will do."""
    raft, held = group
    raft.read_rounds.append(ReadRound(4, 0, ()))
    assert held.let_go(ticked(raft), [beat(3, read_round=4)], has_ticked=True) == []

    assert held.let_go(ticked(raft), [], has_ticked=True) == [beat(3, read_round=4)]


def test_a_read_asks_a_majority_and_the_last_round_stands_for_those_before(group):
    """An answer to a later round confirms the earlier ones too (raft/reads.py)."""
    raft, held = group

    for number in (4, 5):
        rounds = [beat(peer, read_round=number) for peer in (2, 3)]
        assert held.let_go(raft, rounds, has_ticked=False) == [beat(2, read_round=number)]
    assert held.let_go(beaten(raft), [], has_ticked=True) == [beat(3, read_round=5)]


def test_a_commit_leaves_with_what_a_peer_is_told_at_once(group):
    """R4: a read there must see it, and would else wait for the next beat."""
    raft, held = group
    assert held.let_go(raft, [beat(2, commit=1)], has_ticked=False) == []
    answer = ReadIndexReply(0, 1, 2, 1, 9, 1)

    assert held.let_go(raft, [answer], has_ticked=False) == [beat(2, commit=1), answer]


def test_a_commit_told_behind_a_round_does_not_take_the_round_away(group):
    """The reader would wait for the next heartbeat."""
    raft, held = group
    held.let_go(raft, [beat(3, read_round=4)], has_ticked=False)

    held.let_go(raft, [beat(3, commit=1)], has_ticked=False)

    assert held.let_go(beaten(raft), [], has_ticked=True) == [beat(3, commit=1, read_round=4)]


def test_a_round_of_an_earlier_term_is_not_asked_for_in_this_one(group):
    """R1: its answer would count for this term's rounds."""
    raft, held = group
    held.let_go(raft, [beat(3, read_round=4)], has_ticked=False)
    word = beat(3, commit=1)._replace(term=2)

    held.let_go(raft, [word], has_ticked=False)

    assert held.let_go(beaten(raft), [], has_ticked=True) == [word]


def test_an_append_does_not_take_a_round_away_either(group):
    """It tells of the commit, and asks for no answer to the round."""
    raft, held = group
    held.let_go(raft, [beat(3, read_round=4)], has_ticked=False)

    held.let_go(raft, [append(3, 1)], has_ticked=False)

    assert held.let_go(beaten(raft), [], has_ticked=True) == [append(3, 1), beat(3, read_round=4)]


def test_a_commit_told_behind_a_held_append_is_not_lost(group):
    """The append left before it was known."""
    raft, held = group
    held.let_go(raft, [append(3, 1)], has_ticked=False)

    held.let_go(raft, [beat(3, commit=1)], has_ticked=False)

    assert held.let_go(beaten(raft), [], has_ticked=True) == [append(3, 1), beat(3, commit=1)]


def test_any_other_word_takes_along_what_was_held(group):
    """A follower that reads has what it needs, and waits one tick for its commit, not two."""
    raft, held = group
    held.let_go(raft, [append(3, 1)], has_ticked=False)
    answer = ReadIndexReply(0, 1, 3, 1, 7, 2)

    assert held.let_go(raft, [answer], has_ticked=False) == [append(3, 1), answer]


def test_who_acknowledged_more_is_told_first_from_the_next_tick_on(group):
    """One of the first that hangs costs a tick or two, once."""
    raft, held = group
    raft.progress[3].match_index += 1

    held.let_go(raft, [], has_ticked=True)

    assert held.let_go(raft, appends((2, 3), 1), has_ticked=False) == [append(3, 1)]


@pytest.mark.parametrize(("us", "first"), [(1, {2, 3}), (3, {2, 4})])
def test_of_five_the_two_neighbours_are_told_first(us, first):
    """With the leader a majority; on one machine they sit on other cores (decision 0010)."""
    raft, held = leader(FIVE).raft, Held()
    raft.server_id, raft.progress = us, dict.fromkeys(FIVE, raft.progress[2])
    held.let_go(raft, [], has_ticked=True)

    told = held.let_go(raft, appends(set(FIVE) - {us}, 1), has_ticked=False)

    assert {message.target for message in told} == first


def test_of_two_alike_the_one_before_stays(group):
    """Each change costs a turn more."""
    raft, held = group
    raft.progress[3].match_index += 1
    held.let_go(raft, [], has_ticked=True)
    raft.progress[2].match_index += 1

    held.let_go(raft, [], has_ticked=True)

    assert held.let_go(raft, appends((2, 3), 1), has_ticked=False) == [append(3, 1)]


def test_at_a_beat_a_neighbour_that_answers_is_told_first_again(group):
    """On one machine it sits on another core, and always holds less: it is told late."""
    raft, held = group
    raft.progress[3].match_index += 1
    held.let_go(ticked(raft), [], has_ticked=True)
    propose(raft, (b"x",))
    held.let_go(beaten(raft), [], has_ticked=True)
    assert held.let_go(raft, appends((2, 3), 1), has_ticked=False) == [append(2, 1)]

    raft.progress[3].match_index += 1
    held.let_go(ticked(raft), [], has_ticked=True)
    assert held.let_go(raft, appends((2, 3), 2), has_ticked=False) == [append(3, 2)]


def test_at_a_beat_one_that_has_not_answered_since_the_last_is_not(group):
    """It may hang, and each write would wait for the others a tick or two."""
    raft, held = group
    propose(raft, (b"x",))
    held.let_go(beaten(raft), [], has_ticked=True)
    raft.progress[3].match_index = raft.log.last_index

    held.let_go(beaten(raft), [], has_ticked=True)

    assert held.let_go(raft, appends((2, 3), 1), has_ticked=False) == [append(3, 1)]


@pytest.mark.parametrize("lost", [2, 3])
def test_while_one_has_to_be_searched_all_are_told(group, lost):
    """One of the first may be gone; one of the others is not slowed down on its way back."""
    raft, held = group
    raft.progress[lost].become_probe()

    told = held.let_go(raft, appends((2, 3), 1), has_ticked=False)

    assert {message.target for message in told} == {2, 3}
    held.let_go(raft, [], has_ticked=True)
    told = held.let_go(raft, appends((2, 3), 2), has_ticked=False)
    assert {message.target for message in told} == {2, 3}


def test_who_was_found_again_may_wait_again(group):
    """Whoever took its place keeps it."""
    raft, held = group
    raft.progress[2].become_probe()
    held.let_go(raft, [], has_ticked=True)
    raft.progress[2].become_replicate()
    held.let_go(raft, [], has_ticked=True)

    assert held.let_go(raft, appends((2, 3), 1), has_ticked=False) == [append(3, 1)]


def test_a_leader_that_hands_over_tells_all(group):
    """Whoever takes over must hold everything, and the others vote the sooner."""
    raft, held = group
    raft.transferee = 3

    told = held.let_go(raft, appends((2, 3), 1), has_ticked=False)

    assert {message.target for message in told} == {2, 3}


def test_while_the_membership_changes_all_are_told():
    """Two majorities are needed (thesis §4.3)."""
    raft, held = leader().raft, Held()
    raft.memberships[-1] = (0, Membership((1, 2, 3), (1, 2)))
    held.let_go(raft, [], has_ticked=True)

    told = held.let_go(raft, appends((2, 3), 1), has_ticked=False)

    assert {message.target for message in told} == {2, 3}


def test_who_does_not_vote_can_wait():
    """No commit needs it."""
    raft, held = leader((1, 2), learners=(3,)).raft, Held()
    held.let_go(raft, [], has_ticked=True)

    assert held.let_go(raft, appends((2, 3), 1), has_ticked=False) == [append(2, 1)]


def test_what_was_held_leaves_when_leadership_is_lost(group):
    """To its target it is a late word of an old term."""
    raft, held = group
    held.let_go(raft, [append(3, 1)], has_ticked=False)
    raft.role = Server(2).raft.role
    word = ReadIndexReply(0, 1, 2, 1, 7, 2)

    assert held.let_go(raft, [word], has_ticked=False) == [append(3, 1), word]


def test_who_is_no_longer_a_member_hears_the_last_word_at_once(group):
    """Nobody knows its progress any more."""
    raft, held = group
    del raft.progress[3]

    assert held.let_go(raft, [append(3, 1)], has_ticked=False) == [append(3, 1)]


def test_all_are_told_at_once_where_a_user_wants_it():
    """On machines of their own, the quicker of two answers hides the other's pauses."""
    raft, held = leader(config=Config(majority_first=False)).raft, Held()
    held.let_go(raft, [], has_ticked=True)

    told = held.let_go(raft, appends((2, 3), 1), has_ticked=False)

    assert {message.target for message in told} == {2, 3}
