"""Who a server is: roles change here alone, along one table (Figure 4)."""

from messages.raft import NOBODY, NOOP
from raft import membership, reads, transfer
from raft.progress import Progress
from raft.state import Raft, Role

LEGAL = {
    Role.FOLLOWER: {Role.FOLLOWER, Role.PRE_CANDIDATE, Role.CANDIDATE},
    Role.PRE_CANDIDATE: {Role.FOLLOWER, Role.PRE_CANDIDATE, Role.CANDIDATE},
    Role.CANDIDATE: {Role.FOLLOWER, Role.PRE_CANDIDATE, Role.CANDIDATE, Role.LEADER},
    Role.LEADER: {Role.FOLLOWER},
}


def become_follower(raft: Raft, term: int, leader_id: int) -> None:
    """Follow leader_id, or nobody yet, in this term; a new term has no vote yet."""
    assert term >= raft.current_term
    is_waiting = raft.role is Role.FOLLOWER and term > raft.current_term
    waited, timeout = raft.election_elapsed, raft.election_timeout
    if term > raft.current_term:
        raft.current_term = term
        raft.voted_for = NOBODY
    _become(raft, Role.FOLLOWER, leader_id)
    if is_waiting:
        # A later term alone is no reason to wait anew (§5.2: a vote given or a leader heard is).
        # Else one that cannot win, and is always the first, would keep all others from trying.
        raft.election_elapsed, raft.election_timeout = waited, timeout


def follow_nobody(raft: Raft) -> None:
    """Step down, give up, or forget who led: this term's leader, if there is one, will be heard."""
    become_follower(raft, raft.current_term, NOBODY)


def become_pre_candidate(raft: Raft) -> None:
    """Ask whether a campaign could win; no term is raised, no vote bound (thesis §9.6)."""
    _become(raft, Role.PRE_CANDIDATE, NOBODY)
    raft.votes = {raft.server_id: True}


def become_candidate(raft: Raft) -> None:
    """Raise the term and vote for ourselves; that vote counts when it is durable (D1)."""
    raft.current_term += 1
    raft.voted_for = raft.server_id
    _become(raft, Role.CANDIDATE, NOBODY)
    raft.votes = {}


def become_leader(raft: Raft) -> None:
    """Lead from here on, and begin the term with an entry of our own (§8, M1)."""
    assert raft.voted_for == raft.server_id and raft.hard_state_is_durable
    _become(raft, Role.LEADER, raft.server_id)
    for server in raft.membership.servers() | {raft.server_id}:
        raft.progress[server] = Progress(raft.log.last_index + 1)
    raft.progress[raft.server_id].match_index = raft.log.stable_index
    membership.append_own(raft, NOOP, (b"",))
    raft.heartbeat_elapsed = 0
    reads.broadcast_heartbeat(raft)


def _become(raft: Raft, role: Role, leader_id: int) -> None:
    assert role in LEGAL[raft.role]
    if role is not raft.role or leader_id != raft.leader_id:
        reads.abandon(raft)
    transfer.abort(raft)
    raft.role = role
    raft.leader_id = leader_id
    raft.votes = {}
    raft.progress = {}
    raft.election_elapsed = 0
    ticks_min, ticks_max = raft.config.election_ticks_min, raft.config.election_ticks_max
    raft.election_timeout = raft.random.randrange(ticks_min, ticks_max)
