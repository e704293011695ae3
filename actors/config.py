"""config.yaml, read once and checked; what it leaves out is as written here.

Each number's reason stands beside it in config.yaml, which a test keeps equal to what is here.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from actors.addresses import BASE_PORT, NodeAddress, nodes_at, read_nodes
from actors.configvalue import WORD, ConfigError, boolean, choice, integer, known, text
from messages.client import KEY_BYTES_LIMIT, VALUE_BYTES_LIMIT
from raft.state import Config as RaftConfig

__all__ = ["Config", "ConfigError", "NodeAddress", "load", "raft_config"]

MS_MAX = 3_600_000
BYTES_MAX = 2**40


def _whole(default: int, low: int, high: int) -> int:
    """A field that takes whole numbers from low to high."""
    found: int = field(default=default, metadata={"low": low, "high": high})
    return found


def _choice(*names: str) -> str:
    """A field that takes one of these, the first unless told otherwise."""
    found: str = field(default=names[0], metadata={"choices": names})
    return found


@dataclass(frozen=True)
class Config:
    """Every number of a cluster, its unit in its name."""

    cluster: str = "kvorum"
    data_directory: Path = Path("data")
    nodes: tuple[NodeAddress, ...] = nodes_at(BASE_PORT, 3)

    tick_ms: int = _whole(10, 1, 100)
    election_timeout_ms_min: int = _whole(150, 10, MS_MAX)
    election_timeout_ms_max: int = _whole(300, 20, MS_MAX)
    heartbeat_ms: int = _whole(50, 1, MS_MAX)
    transfer_timeout_ms: int = _whole(300, 10, MS_MAX)
    disk_stall_ms: int = _whole(1_000, 10, MS_MAX)
    pre_vote: bool = True
    check_quorum: bool = True
    lease_reads: bool = False
    lease_drift_percent: int = _whole(10, 0, 90)

    majority_first: bool = True
    append_bytes_max: int = _whole(1_048_576, 1_024, 4_194_304)
    inflight_messages_max: int = _whole(64, 1, 4_096)
    inflight_bytes_max: int = _whole(8_388_608, 1_024, BYTES_MAX)
    unapplied_bytes_max: int = _whole(67_108_864, 1_024, BYTES_MAX)
    apply_bytes_max: int = _whole(4_194_304, 1_024, BYTES_MAX)

    log_trailing_entries: int = _whole(10_000, 0, 10**9)
    log_trailing_bytes: int = _whole(33_554_432, 0, BYTES_MAX)
    log_behind_bytes_max: int = _whole(134_217_728, 0, BYTES_MAX)
    snapshot_window_bytes: int = _whole(4_194_304, 65_536, BYTES_MAX)
    snapshot_retry_ms: int = _whole(200, 10, MS_MAX)
    promote_lag_entries_max: int = _whole(1_000, 0, 10**9)

    key_bytes_max: int = _whole(KEY_BYTES_LIMIT, 1, KEY_BYTES_LIMIT)
    value_bytes_max: int = _whole(1_048_576, 1, VALUE_BYTES_LIMIT)
    pending_bytes_max: int = _whole(67_108_864, 65_536, BYTES_MAX)
    client_inflight_max: int = _whole(4_096, 1, 10**6)
    reads_max: int = _whole(65_536, 1, 10**7)

    flush_bytes: int = _whole(67_108_864, 4_096, BYTES_MAX)
    flush_keys: int = _whole(100_000, 1, 10**8)
    flush_ms: int = _whole(5_000, 10, MS_MAX)
    disk_reserve_bytes: int = _whole(67_108_864, 1_048_576, BYTES_MAX)

    one_core_while_quiet: bool = True
    keep_cores_awake: bool = True
    stop_timeout_ms: int = _whole(10_000, 100, MS_MAX)
    restart_delay_ms_min: int = _whole(200, 1, MS_MAX)
    restart_delay_ms_max: int = _whole(10_000, 1, MS_MAX)
    restart_healthy_ms: int = _whole(10_000, 1, MS_MAX)
    log_file_bytes_max: int = _whole(16_777_216, 4_096, BYTES_MAX)

    log_level: str = _choice("info", "debug", "warning", "error")
    log_format: str = _choice("human", "json")

    def node(self, name: str) -> NodeAddress:
        """The node of that name."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes)
        raise ConfigError(f"no node is called {name}: there are {names}")


FIELDS = {entry.name: entry for entry in fields(Config)}


def load(
    path: Path | None,
    *,
    data: Path | None = None,
    nodes: int | None = None,
    base_port: int | None = None,
    log_format: str | None = None,
) -> Config:
    """The cluster that a file describes, the default one without a file, and what overrides it.

    The file's data directory is relative to the file. With nodes or base_port, the cluster is one
    of node1, node2, ... on this machine instead of the file's nodes.
    """
    config = _read(path) if path else Config()
    if data is not None:
        config = replace(config, data_directory=data)
    if log_format is not None:
        choices = FIELDS["log_format"].metadata["choices"]
        config = replace(config, log_format=choice("log_format", log_format, choices))
    if nodes is not None or base_port is not None:
        count = len(config.nodes) if nodes is None else nodes
        first = BASE_PORT if base_port is None else base_port
        config = replace(config, nodes=nodes_at(first, count))
    return config


def raft_config(config: Config) -> RaftConfig:
    """Raft's share of it, with time in ticks."""

    def ticks(milliseconds: int) -> int:
        return max(1, milliseconds // config.tick_ms)

    same = {name: getattr(config, name) for name in RaftConfig._fields if name in FIELDS}
    return RaftConfig(
        election_ticks_min=ticks(config.election_timeout_ms_min),
        election_ticks_max=ticks(config.election_timeout_ms_max),
        heartbeat_ticks=ticks(config.heartbeat_ms),
        snapshot_retry_ticks=ticks(config.snapshot_retry_ms),
        transfer_ticks_max=ticks(config.transfer_timeout_ms),
        disk_stall_ticks_max=ticks(config.disk_stall_ms),
        **same,
    )


def _read(path: Path) -> Config:
    """The file's values over the defaults; whatever is wrong with it names the file."""
    try:
        config = _parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {_in_one_line(error)}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return replace(config, data_directory=path.parent / config.data_directory)


def _parse(content: str) -> Config:
    found = _Loader(content).get_single_data() or {}  # a file may be nothing but comments
    if not isinstance(found, dict):
        raise ConfigError("it must be a table of `key: value` lines")
    values: dict[str, Any] = {known(key, FIELDS): _value(key, found[key]) for key in found}
    config = Config(**values)
    _check_order(config)
    return config


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key written twice: PyYAML would silently take the last."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"{key} is written twice: one of the two must go")
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _in_one_line(error: yaml.YAMLError) -> str:
    """What PyYAML says in four lines, without its drawing."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem or error.context}"
    return " ".join(str(error).split())


def _value(key: str, value: object) -> object:
    """The checked value of a key."""
    entry = FIELDS[key]
    if key == "nodes":
        return read_nodes(value)
    if key == "data_directory":
        return Path(text(key, value, r"[^\0]+", "the path of a directory"))
    if key == "cluster":
        return text(key, value, WORD, "letters, digits, - and _, at most 63 of them")
    if entry.type is bool:
        return boolean(key, value)
    if "choices" in entry.metadata:
        return choice(key, value, entry.metadata["choices"])
    return integer(key, value, entry.metadata["low"], entry.metadata["high"])


def _check_order(config: Config) -> None:
    """What one number says about another."""
    for low_key, high_key, gap in (
        ("tick_ms", "heartbeat_ms", 0),
        ("heartbeat_ms", "election_timeout_ms_min", config.tick_ms),
        ("election_timeout_ms_min", "election_timeout_ms_max", config.tick_ms),
        ("restart_delay_ms_min", "restart_delay_ms_max", 0),
    ):
        low, high = getattr(config, low_key), getattr(config, high_key)
        if high < low + gap:
            least = f"{low_key} + tick_ms" if gap else low_key
            raise ConfigError(f"{high_key} is {high}: it must be at least {least}, {low + gap}")
    if config.lease_reads and not config.check_quorum:
        raise ConfigError("lease_reads is true: that needs check_quorum to be true as well")
