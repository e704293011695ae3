"""config.yaml: the file and the code agree, and what cannot be is refused in one sentence."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.config import Config, ConfigError, _parse, load, raft_config

ROOT = Path(__file__).parents[2]
NODE = "{name: a, id: 1, host: h, client_port: 1, peer_port: 2}"

REFUSED = {
    "a: [": "is not YAML: line 1: expected the node content, but found '<stream end>'",
    "hello": ": it must be a table of `key: value` lines",
    "heartbeat: 5": ": heartbeat is not a key here: did you mean heartbeat_ms",
    "tick_ms: 1\ntick_ms: 2": ": tick_ms is written twice: one of the two must go",
    "tick_ms: true": ": tick_ms is true: it must be a whole number from 1 to 100",
    "tick_ms:": ": tick_ms is null: it must be a whole number from 1 to 100",
    "tick_ms: 0": ": tick_ms is 0: it must be a whole number from 1 to 100",
    "tick_ms: 1.5": ": tick_ms is 1.5: it must be a whole number from 1 to 100",
    "pre_vote: 1": ": pre_vote is 1: it must be true or false",
    f"cluster: {'x' * 64}": f": cluster is '{'x' * 59}...: it must be letters,",
    "cluster: a b": ": cluster is 'a b': it must be letters, digits, - and _, at most 63 of them",
    "log_level: loud": ": log_level is 'loud': it must be one of info, debug, warning, error",
    "data_directory: 3": ": data_directory is 3: it must be the path of a directory",
    "heartbeat_ms: 150": (
        ": election_timeout_ms_min is 150: it must be at least heartbeat_ms + tick_ms, 160"
    ),
    "election_timeout_ms_max: 150": (
        ": election_timeout_ms_max is 150: it must be at least"
        " election_timeout_ms_min + tick_ms, 160"
    ),
    "lease_reads: true\ncheck_quorum: false": ": lease_reads is true: that needs check_quorum",
    "nodes: []": ": nodes is []: it must be a list of 1 to 64 nodes",
    "nodes: [4]": ": node 1 of nodes is 4: it must be a table of name, id, host,",
    "nodes: [{name: a}]": ": node 1 of nodes has no id, host, client_port, peer_port",
    f"nodes: [{NODE.replace('host', 'hots')}]": ": hots is not a key here: did you mean host?",
    f"nodes: [{NODE.replace('h,', 'tcp://h,')}]": ": host of a is 'tcp://h': it must be a host",
    f"nodes: [{NODE.replace('h,', '0.0.0.0,')}]": ": host of a is '0.0.0.0': it must be a host",
    f"nodes: [{NODE.replace('h,', '1.2.3.444,')}]": ": host of a is '1.2.3.444': it must be a host",
    f"nodes: [{NODE.replace('id: 1', 'id: 0')}]": ": id of a is 0: it must be a whole number",
    f"nodes: [{NODE.replace('2}', '1}')}]": ": peer_port of a is 1: it must differ from client",
    f"nodes: [{NODE.replace('2}', '65536}')}]": ": peer_port of a is 65536: it must be a whole",
    f"nodes: [{NODE.replace('a,', 'launcher,')}]": ": name of node 1 of nodes is 'launcher'",
    f"nodes: [{NODE}, {NODE.replace('a,', 'A,')}]": ": a and A have the same name, A",
    f"nodes: [{NODE}, {NODE.replace('id: 1', 'id: 2')}]": ": a and a have the same name, a",
    f"nodes: [{NODE}, {NODE.replace('a,', 'b,')}]": ": a and b have the same id, 1",
    f"nodes: [{NODE}, {NODE.replace('a, id: 1', 'b, id: 2')}]": ": a and b have the same port, 1",
}


@pytest.mark.parametrize(("content", "sentence"), REFUSED.items())
def test_what_cannot_be_is_refused_by_name(tmp_path, content, sentence):
    """The file, the key, its value, and what is allowed; one line."""
    file = tmp_path / "cluster.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert str(refused.value).startswith(str(file))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path):
    """With a sentence as well."""
    with pytest.raises(ConfigError, match=r"nothing\.yaml cannot be read: No such file"):
        load(tmp_path / "nothing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.yaml is not UTF-8 text"):
        load(tmp_path / "binary.yaml")
    (tmp_path / "deep.yaml").write_text("[" * 9_999)
    with pytest.raises(ConfigError, match=r"deep\.yaml is nested too deeply"):
        load(tmp_path / "deep.yaml")


def test_the_file_that_ships_holds_the_defaults():
    """Whoever installed the package, and has no file, gets the same cluster."""
    assert load(ROOT / "config.yaml", data=Path("data")) == Config()


def test_every_key_of_the_file_has_its_reason_beside_it():
    """And no key is missing there."""
    lines = (ROOT / "config.yaml").read_text().splitlines()
    keys = [line for line in lines if re.match(r"\w", line)]
    assert [line.partition(":")[0] for line in keys] == [field.name for field in fields(Config)]
    assert [line for line in keys if "  # " not in line] == []


def test_every_number_names_its_unit_or_counts_something():
    """So that no reader has to guess."""
    units = ("_ms", "_ms_min", "_ms_max", "_bytes", "_bytes_max", "_percent")
    counts = ("_entries", "_entries_max", "_messages_max", "_inflight_max", "reads_max", "_keys")
    numbers = [field.name for field in fields(Config) if field.type is int]
    assert [name for name in numbers if not name.endswith(units + counts)] == []


def test_a_data_directory_lies_beside_its_file(tmp_path):
    """Wherever the command is typed; a directory that is named in the command lies as named."""
    file = tmp_path / "cluster.yaml"
    file.write_text("data_directory: here")
    assert load(file).data_directory == tmp_path / "here"
    assert load(file, data=Path("there")).data_directory == Path("there")
    file.write_text("data_directory: /far/away")
    assert load(file).data_directory == Path("/far/away")


def test_a_throw_away_cluster_gets_its_own_ports(tmp_path):
    """--nodes and --base-port replace the nodes of the file, and nothing else."""
    file = tmp_path / "cluster.yaml"
    file.write_text("flush_ms: 77")
    config = load(file, nodes=2, base_port=9000)
    assert config.flush_ms == 77
    assert [(node.name, node.node_id) for node in config.nodes] == [("node1", 1), ("node2", 2)]
    assert [node.client for node in config.nodes] == ["127.0.0.1:9001", "127.0.0.1:9002"]
    assert [node.peer for node in config.nodes] == ["127.0.0.1:9101", "127.0.0.1:9102"]
    assert len(load(file, base_port=9000).nodes) == 3
    assert load(file, nodes=3).nodes == Config().nodes
    for count, base_port in ((0, 9000), (65, 9000), (3, 65_400), (3, 0)):
        with pytest.raises(ConfigError, match="it must be a whole number from 1 to"):
            load(file, nodes=count, base_port=base_port)


@given(st.data())
def test_raft_takes_every_config_that_is_accepted(data):
    """Its own checks are assertions: a user must never see them fail."""
    times = ("tick_ms", "heartbeat_ms", "election_timeout_ms_min", "election_timeout_ms_max")
    content = "\n".join(f"{name}: {data.draw(st.integers(1, 400))}" for name in times)
    try:
        config = _parse(content)
    except ConfigError:
        return
    raft_config(config).check()
