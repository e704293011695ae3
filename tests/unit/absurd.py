"""Messages that no honest server sends, yet that decode: absurd in value, sender, term or target.

None of them forges what Raft has to believe: a leader's word about its log, commit and state, a
member's vote, a member's word about its own disk. Whoever can forge those can do anything.
"""

from random import Random

from messages.codec import INTEGER_MAX
from messages.raft import (
    COMMAND,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Membership,
    Message,
    PreVote,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
    TransferLeader,
)
from raft.state import Raft

MEMBERS = (1, 2, 3, 4)
STRANGERS = (90, 91)

FALSE = Membership((1, 2, 3), learners=(90,))
"""The membership of every snapshot that does not exist."""

Head = tuple[int, int, int, int]


def absurd(raft: Raft, term_max: int, random: Random) -> Message:
    """One such message for this server; nobody in the group has seen a term above term_max."""
    kind = random.choice((_from_leader, _from_follower, _about_votes, _about_wishes))
    message = kind(raft, term_max, random)
    if random.random() < 0.05:
        return message._replace(group=77)
    return message._replace(target=77) if random.random() < 0.05 else message


def number(random: Random, near: int = 0) -> int:
    """Small, enormous, or close to something that matters."""
    choices = (random.randrange(5), near + random.randint(-3, 9), 2**40, INTEGER_MAX)
    return max(0, random.choice(choices))


def _from_leader(raft: Raft, term_max: int, random: Random) -> Message:
    """From a leader of the past, this server's own, or one of a term that nobody has seen."""
    head = _head(raft, random.choice((*MEMBERS, *STRANGERS)), max(0, raft.current_term - 1))
    if raft.leader_id not in {0, raft.server_id} and random.random() < 0.8:
        head = _head(raft, raft.leader_id, raft.current_term)
    elif random.random() < 0.05:
        head = _head(raft, random.choice(STRANGERS), term_max + 1)
    return random.choice(
        (
            _append(raft, head, random),
            _chunk(raft, head, random),
            Heartbeat(*head, random.randint(0, raft.commit_index), number(random)),
            TimeoutNow(*head),
        )
    )


def _append(raft: Raft, head: Head, random: Random) -> AppendEntries:
    """One that follows nothing this server holds, or something long committed."""
    term = head[3]
    prev_log_index = number(random, near=raft.log.last_index)
    known = None if prev_log_index < raft.commit_index else raft.log.term_at(prev_log_index)
    prev_log_term = random.choice([at for at in range(term + 2) if at != known])
    first = max(1, prev_log_term)
    count = random.randrange(4) if first <= term else 0
    terms = sorted(random.randint(first, term) for _ in range(count))
    entries = tuple(Entry(at, COMMAND, b"absurd") for at in terms)
    return AppendEntries(*head, prev_log_index, prev_log_term, number(random), entries)


def _chunk(raft: Raft, head: Head, random: Random) -> InstallSnapshot:
    """Of a snapshot that does not exist, in no order."""
    index = number(random, near=raft.log.last_index)
    if head[1] == raft.leader_id:
        index = min(index, raft.commit_index)  # its next one must not look older than this
    terms = [at for at in range(head[3] + 1) if at != raft.log.term_at(index)]
    receiving = raft.receiving
    if receiving and receiving.snapshot.last_included_term <= head[3] and random.random() < 0.5:
        index, terms = receiving.snapshot[0], [receiving.snapshot[1]]
    if not terms:
        index, terms = 0, [0]
    data = random.choice((b"", b"absurd"))
    done = random.random() < 0.5 or not data
    offset = number(random, near=6) if data else 0
    return InstallSnapshot(*head, index, random.choice(terms), FALSE, offset, data, done)


def _from_follower(raft: Raft, term_max: int, random: Random) -> Message:
    """Answers to what was never asked; from a member none that claims more than is true."""
    source = random.choice((*MEMBERS, *STRANGERS))
    head = _head(raft, source, _term(raft, term_max, random))
    match_index, read_round = number(random, near=raft.log.last_index), number(random)
    if source in raft.progress and source != raft.server_id:
        progress = raft.progress[source]
        match_index = random.choice((progress.match_index, 0, raft.log.last_index + 1, INTEGER_MAX))
        read_round = random.choice((progress.read_round, raft.round_number + 1, INTEGER_MAX))
    near = raft.log.last_index
    success = random.random() < 0.5
    refused = AppendEntriesReply(
        *head, False, number(random, near), number(random, near), number(random)
    )
    index = raft.saved_index if random.random() < 0.7 else number(random)
    return random.choice(
        (
            AppendEntriesReply(*head, True, match_index, 0, 0) if success else refused,
            HeartbeatReply(*head, read_round),
            InstallSnapshotReply(*head, index, number(random, near=6)),
        )
    )


def _about_votes(raft: Raft, term_max: int, random: Random) -> Message:
    """Strangers campaign and vote; so does whoever calls itself by this server's id."""
    source = random.choice((*STRANGERS, raft.server_id))
    head = _head(raft, source, _term(raft, term_max, random))
    last = (number(random, near=raft.log.last_index), number(random, near=raft.log.last_term))
    granted = random.random() < 0.7
    return random.choice(
        (
            RequestVote(*head, *last, random.random() < 0.3),
            PreVote(*head, *last),
            RequestVoteReply(*head, granted),
            PreVoteReply(*head, granted),
            RequestVoteReply(*_head(raft, random.choice(MEMBERS), raft.current_term), False),
        )
    )


def _about_wishes(raft: Raft, term_max: int, random: Random) -> Message:
    """Reads and handovers that nobody wished for."""
    source = random.choice((*MEMBERS, *STRANGERS))
    head = _head(raft, source, _term(raft, term_max, random))
    return random.choice(
        (
            ReadIndex(*head, number(random)),
            ReadIndexReply(*head, number(random), number(random)),
            TransferLeader(*head, random.choice((*MEMBERS, *STRANGERS))),
        )
    )


def _term(raft: Raft, term_max: int, random: Random) -> int:
    """Most often this server's, since every other is soon done with."""
    if random.random() < 0.02:
        return term_max + random.randint(1, 3)
    return random.choice((raft.current_term, raft.current_term, random.randint(0, term_max)))


def _head(raft: Raft, source: int, term: int) -> Head:
    return raft.group, source, raft.server_id, term
