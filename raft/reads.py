"""Reads without log entries: ReadIndex, its lease, and a follower's way to it (thesis §6.4).

The leader notes its commit index, then makes sure that it still led after that moment: a round of
heartbeats, numbered, and a majority that answers that number or a later one. All reads that waited
when the round began share it. A number is used once, so an old answer confirms nothing new (R1).
"""

from messages.raft import NOBODY, Heartbeat, HeartbeatReply, ReadIndex, ReadIndexReply
from raft.quorum import joint_committed_index
from raft.state import Forwarded, Raft, ReadRound, ReadState, Refusal, Role, send


def read(raft: Raft, context: int, *, lease: bool = False) -> Refusal | None:
    """Ask for a read index; it comes, with the same context, in a Ready, or None for it."""
    if raft.role is not Role.LEADER and raft.leader_id == NOBODY:
        return Refusal.NOT_LEADER
    if _reads_waiting(raft) >= raft.config.reads_max:
        return Refusal.OVERLOADED
    if raft.role is not Role.LEADER:
        raft.contexts_waiting.append(context)
    elif lease and has_lease(raft):
        raft.reads_good.append(ReadState(context, raft.commit_index))
    else:
        raft.readers_waiting.append((raft.server_id, context))
    return None


def has_lease(raft: Raft) -> bool:
    """Whether no other server can have been elected yet; needs the opt-in and a bound on drift."""
    return (
        raft.config.lease_reads
        and raft.clock < raft.lease_until
        and not raft.lease_barred
        and _has_committed_in_term(raft)
    )


def begin_round(raft: Raft) -> None:
    """Start one round for those who wait; before the term's first commit they go on waiting (M1).

    Until that commit a new leader may not know all that was committed before it (§8).
    """
    if not _has_committed_in_term(raft):
        return
    broadcast_heartbeat(raft)
    readers = tuple(raft.readers_waiting)
    raft.readers_waiting.clear()
    raft.readers_in_rounds += len(readers)
    raft.read_rounds.append(ReadRound(raft.round_number, raft.commit_index, readers))
    _confirm_alone(raft)


def broadcast_heartbeat(raft: Raft) -> None:
    """Tell everyone that we lead, under a new round number; each hears of commits it can have."""
    raft.round_number += 1
    if raft.config.lease_reads:
        expired = raft.clock - raft.config.lease_ticks()
        while raft.rounds_sent and raft.rounds_sent[0][1] <= expired:
            raft.rounds_sent.popleft()  # its answer, however late, would grant nothing any more
        raft.rounds_sent.append((raft.round_number, raft.clock))
    raft.progress[raft.server_id].read_round = raft.round_number
    for server in raft.progress:
        if server != raft.server_id:
            send_heartbeat(raft, server, raft.round_number)
    _confirm_alone(raft)


def send_heartbeat(raft: Raft, server: int, number: int) -> None:
    """Tell of leadership and of the commits this server can have; number 0 asks for no answer."""
    progress = raft.progress[server]
    commit = min(progress.match_index, raft.commit_index)
    progress.commit_sent = max(progress.commit_sent, commit)
    head = (raft.group, raft.server_id, server, raft.current_term)
    send(raft, Heartbeat(*head, commit, number))


def on_heartbeat_reply(raft: Raft, message: HeartbeatReply) -> None:
    """Count a confirmation of leadership; replication.py does the rest with this message."""
    progress = raft.progress[message.source]
    if progress.read_round < message.read_round <= raft.round_number:
        progress.read_round = message.read_round
        _confirm(raft)


def forward(raft: Raft) -> None:
    """A follower asks its leader once for the reads that wait here, each time under a new id.

    While the term is not durable they go on gathering: the question would wait for the disk, and
    of questions that wait only the last is kept.
    """
    if not raft.hard_state_is_durable:
        return
    assert raft.leader_id != NOBODY
    raft.read_number += 1
    raft.forwarded[raft.read_number] = Forwarded(tuple(raft.contexts_waiting), raft.clock)
    raft.contexts_forwarded += len(raft.contexts_waiting)
    raft.contexts_waiting.clear()
    head = (raft.group, raft.server_id, raft.leader_id, raft.current_term)
    send(raft, ReadIndex(*head, raft.read_number))


def on_read_index(raft: Raft, message: ReadIndex) -> None:
    """A follower's reads wait for a round like our own; beyond the bound it will ask again."""
    if raft.role is Role.LEADER and _reads_waiting(raft) < raft.config.reads_max:
        raft.readers_waiting.append((message.source, message.read_id))


def on_read_index_reply(raft: Raft, message: ReadIndexReply) -> None:
    """The reads asked about under this id are good once applied so far (R4)."""
    if message.read_id in raft.forwarded:
        contexts = _take_forwarded(raft, message.read_id)
        raft.reads_good += [ReadState(context, message.read_index) for context in contexts]


def expire(raft: Raft) -> None:
    """An id whose answer is overdue is given up; the next attempt has an id of its own (R1)."""
    overdue = raft.clock - raft.config.election_ticks_max
    for number in [at for at, asked in raft.forwarded.items() if asked.asked_at <= overdue]:
        _give_up(raft, _take_forwarded(raft, number))


def abandon(raft: Raft) -> None:
    """Leadership moved: no read that still waits may be answered from what we believed."""
    for asked in raft.forwarded.values():
        _give_up(raft, asked.contexts)
    _give_up(raft, tuple(raft.contexts_waiting))
    ours = [reader for found in raft.read_rounds for reader in found.readers]
    _give_up(
        raft,
        tuple(at for server, at in [*ours, *raft.readers_waiting] if server == raft.server_id),
    )
    raft.forwarded.clear()
    raft.contexts_forwarded = 0
    raft.contexts_waiting.clear()
    raft.readers_waiting.clear()
    raft.read_rounds.clear()
    raft.rounds_sent.clear()
    raft.readers_in_rounds = 0
    raft.lease_until = 0
    raft.lease_barred = False


def _confirm_alone(raft: Raft) -> None:
    """Where we are a majority nobody else will; where others vote, it takes the answer of one."""
    if len(raft.membership.voters) == 1:
        _confirm(raft)


def _confirm(raft: Raft) -> None:
    """Answer every round that a majority has answered, it or a later one."""
    rounds = {server: progress.read_round for server, progress in raft.progress.items()}
    membership = raft.membership
    confirmed = joint_committed_index(membership.voters, membership.outgoing, rounds)
    while raft.read_rounds and raft.read_rounds[0].read_round <= confirmed:
        done = raft.read_rounds.popleft()
        raft.readers_in_rounds -= len(done.readers)
        for server, read_id in done.readers:
            _answer(raft, server, read_id, done.read_index)
    while raft.rounds_sent and raft.rounds_sent[0][0] <= confirmed:
        _, sent_at = raft.rounds_sent.popleft()
        raft.lease_until = sent_at + raft.config.lease_ticks()


def _answer(raft: Raft, server: int, read_id: int, read_index: int) -> None:
    if server == raft.server_id:
        raft.reads_good.append(ReadState(read_id, read_index))
    else:
        reply = (raft.group, raft.server_id, server, raft.current_term, read_id, read_index)
        send(raft, ReadIndexReply(*reply))


def _take_forwarded(raft: Raft, read_id: int) -> tuple[int, ...]:
    contexts = raft.forwarded.pop(read_id).contexts
    raft.contexts_forwarded -= len(contexts)
    return contexts


def _give_up(raft: Raft, contexts: tuple[int, ...]) -> None:
    raft.reads_good += [ReadState(context, None) for context in contexts]


def _has_committed_in_term(raft: Raft) -> bool:
    return raft.log.term_at(raft.commit_index) == raft.current_term


def _reads_waiting(raft: Raft) -> int:
    ours = len(raft.contexts_waiting) + raft.contexts_forwarded
    return ours + len(raft.readers_waiting) + raft.readers_in_rounds
