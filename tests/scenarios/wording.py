"""How a transcript words what servers say, write and know: short, and the same every time."""

from messages.codec import decode_membership
from messages.raft import (
    COMMAND,
    MEMBERSHIP,
    NOBODY,
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
from raft.log import Log
from raft.progress import Progress
from raft.state import Raft, Role, Saved, SoftState, Write


def of_message(message: Message) -> str:
    """Its name, its term and what else it says; from whom and to whom stands before it."""
    said = " ".join([f"t{message.term}", *filter(None, _said(message))])
    return f"{type(message).__name__}({said})"


def of_entry(index: int, entry: Entry) -> str:
    """index/term:content, as 3/1:x."""
    content = "noop"
    if entry.kind == COMMAND:
        content = entry.payload.decode()
    elif entry.kind == MEMBERSHIP:
        content = of_membership(decode_membership(entry.payload))
    return f"{index}/{entry.term}:{content}"


def of_entries(first: int, entries: tuple[Entry, ...]) -> str:
    """Neighbours in the log, the first of them at index first."""
    return f"[{' '.join(of_entry(index, entry) for index, entry in enumerate(entries, first))}]"


def of_log(log: Log) -> str:
    """All that is not compacted away."""
    first = log.truncated_index + 1
    return of_entries(first, log.between(first, log.last_index))


def of_membership(membership: Membership) -> str:
    """Only what there is of it, in the words that the command `membership` takes."""
    parts = zip(("voters", "outgoing", "learners", "next", "removed"), membership, strict=True)
    return f"{{{' '.join(f'{name}={_ids(ids)}' for name, ids in parts if ids) or 'nobody'}}}"


def of_soft_state(state: SoftState) -> str:
    """Role, leader and term."""
    followed = state.role is Role.FOLLOWER and state.leader_id != NOBODY
    leader = f" of S{state.leader_id}" if followed else ""
    return f"{state.role.value}{leader} t{state.current_term}"


def of_write(write: Write, saved: Saved) -> str:
    """What this write changes on the disk."""
    held = saved.base.last_included_index + len(saved.entries)
    parts = []
    if write.hard_state.current_term != saved.hard_state.current_term:
        parts.append(f"t{write.hard_state.current_term}")
    if write.hard_state[:2] != saved.hard_state[:2]:
        voted_for = write.hard_state.voted_for
        parts.append(f"vote=S{voted_for}" if voted_for else "vote=nobody")
    if write.snapshot:
        index, term, membership = write.snapshot
        parts.append(f"snapshot {index}/{term} {of_membership(membership)}")
    elif write.first_index <= held:
        parts.append(f"{of_entries(write.first_index, write.entries)} over {write.first_index}..")
        parts[-1] += str(held)
    elif write.entries:
        parts.append(of_entries(write.first_index, write.entries))
    if write.base:
        parts.append(f"base {write.base.last_included_index}/{write.base.last_included_term}")
    return " ".join(parts) or "nothing new"


def of_status(raft: Raft) -> str:
    """Role, vote and marks."""
    state = of_soft_state(SoftState(raft.role, raft.leader_id, raft.current_term))
    log = raft.log
    voted = f"voted S{raft.voted_for}" if raft.voted_for else "no vote"
    return (
        f"{state}, {voted}: truncated {log.truncated_index}, applied {raft.last_applied}, "
        f"commit {raft.commit_index}, durable {log.stable_index}, last {log.last_index}"
    )


def of_progress(progress: Progress) -> str:
    """What the leader knows of one server, and what is on its way there."""
    known = f"{progress.sending.value} match={progress.match_index} next={progress.next_index}"
    if progress.inflight:
        known += f" inflight={len(progress.inflight)}"
    if progress.install:
        index, term, _ = progress.install.snapshot
        acked, sent = progress.install.acked_offset, progress.install.sent_offset
        known += f" snapshot={index}/{term} acked={acked} sent={sent}"
    return known


def _said(message: Message) -> tuple[str, ...]:
    match message:
        case RequestVote() | PreVote():
            transfer = isinstance(message, RequestVote) and message.leadership_transfer
            last = f"last={message.last_log_index}/{message.last_log_term}"
            return last, "transfer" if transfer else ""
        case RequestVoteReply() | PreVoteReply():
            return ("granted" if message.vote_granted else "refused",)
        case AppendEntries(prev_log_index=index, prev_log_term=term, entries=entries):
            commit = f"commit={message.leader_commit}"
            return f"prev={index}/{term}", commit, of_entries(index + 1, entries)
        case AppendEntriesReply(success=True):
            return (f"match={message.match_index}",)
        case AppendEntriesReply():
            hint = f"hint={message.match_index}/{message.hint_term}"
            return "refused", f"prev={message.prev_log_index}", hint
        case InstallSnapshot():
            return _said_of_chunk(message)
        case InstallSnapshotReply():
            return f"last={message.last_included_index}", f"next_offset={message.next_offset}"
        case _:
            return _said_in_short(message)


def _said_in_short(message: Message) -> tuple[str, ...]:
    match message:
        case Heartbeat():
            return f"commit={message.leader_commit}", f"round={message.read_round}"
        case HeartbeatReply():
            return (f"round={message.read_round}",)
        case ReadIndex():
            return (f"id={message.read_id}",)
        case ReadIndexReply():
            return f"id={message.read_id}", f"index={message.read_index}"
        case TransferLeader():
            return (f"to=S{message.transferee}",)
        case _:
            assert isinstance(message, TimeoutNow)
            return ()


def _said_of_chunk(message: InstallSnapshot) -> tuple[str, ...]:
    last = f"last={message.last_included_index}/{message.last_included_term}"
    first, end = message.offset, message.offset + len(message.data)
    done = "done" if message.done else ""
    return last, of_membership(message.membership), f"bytes={first}..{end}", done


def _ids(ids: tuple[int, ...]) -> str:
    return ",".join(map(str, ids))
