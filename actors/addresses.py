"""Where the nodes of a cluster are found, as config.yaml or the command line says."""

from ipaddress import IPv4Address
from typing import NamedTuple

from actors.configvalue import WORD, ConfigError, integer, known, shown, text
from messages.codec import INTEGER_MAX, MEMBERS_MAX

CLIENT_PORT_OFFSET = 1
PEER_PORT_OFFSET = 101
"""With a base port, node 1 gets base + these, node 2 the next ones, ..."""

BASE_PORT = 7100
BASE_PORT_MAX = 65_535 - PEER_PORT_OFFSET - MEMBERS_MAX
PORT_MAX = 65_535

HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
RESERVED_NAMES = {"launcher"}
"""Of nodes: the launcher's own files lie beside theirs."""

KEYS = ("name", "id", "host", "client_port", "peer_port")


class NodeAddress(NamedTuple):
    """Where a node is found."""

    name: str
    node_id: int
    host: str
    client_port: int
    peer_port: int

    @property
    def client(self) -> str:
        """Where clerks connect to, host:port."""
        return f"{self.host}:{self.client_port}"

    @property
    def peer(self) -> str:
        """Where the other nodes connect to, host:port."""
        return f"{self.host}:{self.peer_port}"


def nodes_at(base_port: int, count: int) -> tuple[NodeAddress, ...]:
    """The nodes of a cluster on this machine alone: node1, node2, ..."""
    integer("the number of nodes", count, 1, MEMBERS_MAX)
    integer("the base port", base_port, 1, BASE_PORT_MAX)
    first_client, first_peer = base_port + CLIENT_PORT_OFFSET, base_port + PEER_PORT_OFFSET
    return tuple(
        NodeAddress(f"node{place + 1}", place + 1, "127.0.0.1", first_client + place, peer_port)
        for place, peer_port in enumerate(range(first_peer, first_peer + count))
    )


def read_nodes(value: object) -> tuple[NodeAddress, ...]:
    """What a config says of its nodes, each of them another."""
    if not isinstance(value, list) or not 1 <= len(value) <= MEMBERS_MAX:
        raise ConfigError(f"nodes is {shown(value)}: it must be a list of 1 to {MEMBERS_MAX} nodes")
    nodes = tuple(_read_node(f"node {place} of nodes", raw) for place, raw in enumerate(value, 1))
    owners: dict[tuple[str, object], NodeAddress] = {}
    for node in nodes:
        host = node.host.casefold()
        for what, which, claim in (
            ("name", node.name, node.name.casefold()),  # not every disk tells A from a
            ("id", node.node_id, node.node_id),
            ("port", node.client_port, (host, node.client_port)),
            ("port", node.peer_port, (host, node.peer_port)),
        ):
            owner = owners.setdefault((what, claim), node)
            if owner is not node:
                raise ConfigError(f"{owner.name} and {node.name} have the same {what}, {which}")
    return nodes


def _read_node(what: str, raw: object) -> NodeAddress:
    if not isinstance(raw, dict):
        raise ConfigError(f"{what} is {shown(raw)}: it must be a table of {', '.join(KEYS)}")
    try:
        values = {known(key, KEYS): value for key, value in raw.items()}
    except ConfigError as error:
        raise ConfigError(f"{what}: {error}") from None
    if missing := [key for key in KEYS if key not in values]:
        raise ConfigError(f"{what} has no {', '.join(missing)}: it must have {', '.join(KEYS)}")
    name = text(f"name of {what}", values["name"], WORD, "letters, digits, - and _, at most 63")
    if name.casefold() in RESERVED_NAMES:
        raise ConfigError(f"name of {what} is {name!r}: it must be another, the launcher has that")
    client_port = integer(f"client_port of {name}", values["client_port"], 1, PORT_MAX)
    peer_port = integer(f"peer_port of {name}", values["peer_port"], 1, PORT_MAX)
    if client_port == peer_port:
        raise ConfigError(f"peer_port of {name} is {peer_port}: it must differ from client_port")
    node_id = integer(f"id of {name}", values["id"], 1, INTEGER_MAX)
    return NodeAddress(name, node_id, _read_host(name, values["host"]), client_port, peer_port)


def _read_host(name: str, value: object) -> str:
    """A port, a scheme, `*` and 0.0.0.0 are refused: nobody could connect to them."""
    allowed = "a host name or an IPv4 address that clerks and nodes connect to"
    host = text(f"host of {name}", value, HOST, allowed)
    if not host.replace(".", "").isdigit():
        return host
    try:
        if not IPv4Address(host).is_unspecified:
            return host
    except ValueError:
        pass
    raise ConfigError(f"host of {name} is {host!r}: it must be {allowed}")
