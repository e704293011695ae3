"""What a node says of itself to clerks: who it is, what it takes, and how far it is."""

from typing import NamedTuple

from kv.machine import Machine
from messages.client import VERSION, Status, Welcome
from messages.local import Marks, RoleIs


class Limits(NamedTuple):
    """What this node takes; all of it from the config, each refused when passed."""

    key_bytes_max: int
    value_bytes_max: int
    pending_bytes_max: int  # frames whose answers are due: OVERLOADED
    client_frames_max: int  # of one connection, with answers due: OVERLOADED
    reads_max: int  # read frames waiting: OVERLOADED


class About(NamedTuple):
    """Who this node is, to clerks."""

    cluster: str
    node: int
    name: str
    pid: int
    endpoints: dict[int, str]  # node id -> client endpoint


def welcome(about: About, limits: Limits, leader: str, request_id: int) -> Welcome:
    """The answer to a Hello; `leader` is the leader's client endpoint, or nothing."""
    keys_max, values_max, *_ = limits
    return Welcome(request_id, VERSION, about.cluster, about.node, leader, keys_max, values_max)


def status(about: About, role: RoleIs, machine: Machine, marks: Marks, request_id: int) -> Status:
    """The answer to an AskStatus, once Raft has told how far the log is."""
    return Status(
        request_id=request_id,
        cluster=about.cluster,
        node=about.node,
        name=about.name,
        role=role.role,
        leader=role.leader_id,
        term=role.term,
        commit_index=marks.commit_index,
        applied_index=machine.applied_index,
        last_index=marks.last_index,
        truncated_index=marks.truncated_index,
        writes=machine.operations_executed,
        pid=about.pid,
    )
