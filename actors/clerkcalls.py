"""What callers of a clerk may hand in, and what the clerk's brain makes of it."""

from collections.abc import Iterable
from pathlib import Path

from actors.config import load
from messages.client import LEASE, LINEARIZABLE, STALE

TIMEOUT_S = 5.0
"""How long a call may take, unless it is told."""

LEVELS = {"linearizable": LINEARIZABLE, "lease": LEASE, "stale": STALE}

Text = str | bytes
"""Keys and values: bytes, or text that becomes UTF-8."""

Servers = str | Path | Iterable[str]
"""Where a cluster is: config.yaml, host:port of some of its nodes, or the same between commas."""


def key_of(given: Text) -> bytes:
    """The bytes of a key; an empty one is nobody's."""
    key = given if type(given) is bytes else value_of(given)
    if not key:
        raise ValueError("a key is empty: it must have at least one byte")
    return key


def value_of(given: Text) -> bytes:
    """The bytes of a value."""
    if type(given) is bytes:
        return given
    if isinstance(given, str):
        return given.encode()
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given)
    raise TypeError(f"keys and values are bytes or str, not {type(given).__name__}")


def level_of(given: str) -> int:
    """The level of a read."""
    try:
        return LEVELS[given]
    except KeyError:
        raise ValueError(f"a read's level is {', '.join(LEVELS)}, not {given!r}") from None


def endpoints_of(servers: Servers) -> list[str]:
    """Client ports, host:port, of at least one server."""
    if isinstance(servers, str) and _is_endpoint(servers.partition(",")[0].strip()):
        servers = [part.strip() for part in servers.split(",")]
    if isinstance(servers, str | Path):
        return [node.client for node in load(Path(servers)).nodes]
    endpoints = list(servers)
    for endpoint in endpoints:
        if not _is_endpoint(endpoint):
            raise ValueError(f"a server is found at host:port, not at {endpoint!r}")
    if not endpoints:
        raise ValueError("a clerk needs the host:port of at least one server")
    return endpoints


def _is_endpoint(given: str) -> bool:
    host, _, port = given.rpartition(":")
    return bool(host) and not set(host) & set("/ \0") and port.isdecimal() and 0 < int(port) < 65536
