"""The driver's duties: what to persist, send, stage, apply and answer, and what it reports back."""

from messages.raft import HardState, InstallSnapshot, Message
from raft import election, reads, replication, snapshot
from raft.invariants import checked
from raft.state import LEADER, Committed, Raft, Ready, Role, SoftState, Write


@checked
def ready(raft: Raft) -> Ready:
    """Take all duties that have come up since the last call; each is handed out once."""
    wanted: list[InstallSnapshot] = []
    if raft.role is LEADER:
        if raft.readers_waiting:
            reads.begin_round(raft)
        replication.send_appends(raft)
        wanted = snapshot.wanted_chunks(raft)
    elif raft.contexts_waiting:
        reads.forward(raft)
    write = _next_write(raft)
    soft_state = (raft.role, raft.leader_id, raft.current_term)
    # A follower's disk comes first, once: its leader waits for that, and here mostly nobody.
    has_news = raft.handed_index < raft.commit_index
    is_follower = raft.role is not LEADER
    raft.news_waited = has_news and is_follower and write is not None and not raft.news_waited
    duties = Ready(
        _tell(raft, soft_state) if soft_state != raft.soft_state_told else None,
        tuple(raft.outbox),
        write,
        tuple(raft.received),
        tuple(wanted),
        _next_committed(raft) if has_news and not raft.news_waited else None,
        tuple(raft.reads_good),
    )
    raft.outbox.clear()
    raft.received.clear()
    raft.reads_good.clear()
    return duties


@checked
def persisted(raft: Raft, write: Write) -> None:
    """The write is durable and its messages may be on their way: let it count (D2)."""
    assert raft.writing is write
    raft.writing = None
    raft.write_elapsed = 0
    raft.durable_term = write.hard_state.current_term
    raft.durable_vote = write.hard_state.voted_for
    if write.base is not None:
        raft.durable_base = write.base.last_included_index
    if write.snapshot is not None:
        raft.durable_base = write.snapshot.last_included_index
        snapshot.finish_install(raft, write.snapshot)
    # Not write.last_index: what was overwritten since, even by an entry of another term at the same
    # place, is not durable although a write of that place has returned.
    raft.log.stable_index = max(raft.log.stable_index, raft.writing_last)
    if raft.role is LEADER:
        raft.progress[raft.server_id].match_index = raft.log.stable_index
        replication.advance_commit(raft)
    else:
        election.on_durable_vote(raft)


@checked
def applied(raft: Raft, index: int) -> None:
    """The state machine has applied entries up to index; older news changes nothing."""
    assert index <= raft.handed_index, "applied what was never handed out"
    raft.last_applied = max(raft.last_applied, index)


def _next_write(raft: Raft) -> Write | None:
    """Gather everything the disk lacks into one write; one is in flight at most (DESIGN 1)."""
    if raft.writing is not None:
        return None
    log = raft.log
    installing = raft.receiving.snapshot if raft.receiving and raft.receiving.verified else None
    cut = log.truncated_index > raft.durable_base and not installing
    dirty = installing or cut or log.stable_index < log.last_index
    if not dirty and raft.hard_state_is_durable:
        if raft.waiting:
            raft.outbox += _take_waiting(raft)  # all they promise is durable already
        return None
    entries = () if installing else log.between(log.stable_index + 1, log.last_index)
    raft.write_number += 1
    raft.writing_last = log.stable_index + len(entries)
    raft.writing = Write(
        raft.write_number,
        HardState(raft.current_term, raft.voted_for, raft.commit_index),
        installing,
        snapshot.base(raft) if cut else None,
        log.stable_index + 1,
        entries,
        tuple(_take_waiting(raft)),
    )
    return raft.writing


def _take_waiting(raft: Raft) -> list[Message]:
    messages = list(raft.waiting.values())
    raft.waiting.clear()
    return messages


def _next_committed(raft: Raft) -> Committed | None:
    """Hand out what is committed and durable here, as much as may be unapplied at a time.

    Durable here: else a state flushed after a crash could lie ahead of its own log. Nothing while a
    snapshot is being installed: it replaces the state that would apply it.
    """
    if raft.receiving is not None and raft.receiving.verified:
        return None
    log = raft.log
    last = min(raft.commit_index, log.stable_index)
    if last <= raft.handed_index:
        return None
    pending = log.bytes_between(raft.last_applied, raft.handed_index)
    if pending >= raft.config.apply_bytes_max:
        return None
    first = raft.handed_index + 1
    last = log.last_within(first, last, raft.config.apply_bytes_max - pending)
    raft.handed_index = last
    return Committed(first, log.between(first, last))


def _tell(raft: Raft, news: tuple[Role, int, int]) -> SoftState:
    raft.soft_state_told = SoftState(*news)
    return raft.soft_state_told
