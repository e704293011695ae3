"""The command line `clerk`: what it prints, and its exit codes."""

import io
import json
import subprocess
import sys

import pytest

from actors.clerk import main
from actors.clerkcli import DONE, MISSING, NOT_APPLIED, USAGE, _completer


@pytest.fixture
def run(cluster, capfdbinary):
    """Run a command line: exit code, output, what it complained of."""

    def run(*words: str):
        code = main(["--endpoints", ",".join(cluster.endpoints), "--timeout", "30", *words])
        return (code, *capfdbinary.readouterr())

    return run


def stdin(monkeypatch, content: bytes) -> None:
    """What comes from the standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_values_go_in_and_come_out_as_they_are(run, monkeypatch):
    """From the command line or the standard input, byte by byte."""
    assert run("put", "cli", "grün ") == (DONE, b"", b"")
    stdin(monkeypatch, b"\x00\xff\n")
    assert run("append", "cli", "-") == (DONE, b"", b"")

    assert run("get", "cli") == (DONE, "grün ".encode() + b"\x00\xff\n", b"")


def test_a_missing_key_has_a_code_of_its_own(run):
    """So that a script can tell it from an empty value."""
    assert run("get", "cli-missing") == (MISSING, b"", b"clerk: cli-missing has no value\n")
    run("put", "cli-empty", "")
    assert run("get", "cli-empty") == (DONE, b"", b"")


def test_json_holds_what_it_says(run):
    """Values that are no text are in base64."""
    for verb in ("put", "append"):
        code, told, _ = run("--json", verb, "cli-json", "x")
        assert (code, json.loads(told)) == (DONE, {"key": "cli-json", "ok": True})
    _, told, _ = run("--json", "get", "cli-json")
    assert json.loads(told) == {"key": "cli-json", "value": "xx"}
    run("put", "cli-json", "\udcff")
    _, told, _ = run("--json", "get", "cli-json")
    assert json.loads(told) == {"key": "cli-json", "value_base64": "/w=="}
    code, told, _ = run("--json", "get", "cli-json-missing")
    assert (code, json.loads(told)) == (MISSING, {"key": "cli-json-missing", "value": None})


def test_status_shows_every_node(run, cluster):
    """As a table, and as JSON."""
    code, told, _ = run("status")
    assert (code, told.split()[:3]) == (DONE, [b"endpoint", b"name", b"role"])
    assert b"node1" in told and b"leader" in told
    _, told, _ = run("--json", "status")
    assert json.loads(told)["nodes"][cluster.endpoints[0]]["name"] == "node1"


def test_where_nobody_is_says_so(capfd):
    """1: not applied; status too, as nobody leads."""
    nobody = ["--endpoints", "127.0.0.1:1", "--timeout", "0.2"]
    assert main([*nobody, "put", "k", "v"]) == NOT_APPLIED
    assert capfd.readouterr().err == "clerk: no server answered in time (key b'k')\n"
    assert main([*nobody, "status"]) == NOT_APPLIED
    assert "no answer" in capfd.readouterr().out


def test_what_makes_no_sense_is_refused(run, tmp_path):
    """2, with one sentence."""
    sentence = b"clerk: a key is empty: it must have at least one byte\n"
    assert run("put", "", "v") == (USAGE, b"", sentence)
    assert main(["--config", str(tmp_path / "none.yaml"), "status"]) == USAGE
    assert main(["--endpoints", "nowhere", "status"]) == USAGE
    with pytest.raises(SystemExit) as usage:
        main(["fly"])
    assert usage.value.code == USAGE


def test_the_repl_goes_on_after_errors(run, monkeypatch):
    """One command a line, quotes as in a shell."""
    lines = b"""put 'a key' "a value"\nget 'a key'\nget\nget none\nput '' x\nput 'open\n\nquit\n!"""
    stdin(monkeypatch, lines)
    code, told, complaints = run("repl")

    assert (code, told) == (DONE, b"ok\na value\n")
    assert [line.split(b":")[0] for line in complaints.splitlines()] == [
        b"put KEY VALUE | append KEY VALUE | get KEY | status | quit; quotes as in a shell",
        *[b"clerk"] * 3,
    ]
    stdin(monkeypatch, b"put repl 1\n")
    assert run("repl")[0] == DONE


def test_tab_completes_verbs_and_keys_seen():
    """The first word is a verb, the second a key."""
    complete = _completer({"colour": None, "count": None}, lambda: begins)
    begins = 0
    assert [complete("g", 0), complete("g", 1)] == ["get ", None]
    begins = 4
    assert [complete("co", state) for state in range(3)] == ["colour ", "count ", None]


def test_both_names_of_the_command_work(cluster):
    """`python -m actors.clerk` is the same as `clerk`."""
    command = [sys.executable, "-m", "actors.clerk", "--endpoints", cluster.endpoints[0]]
    done = subprocess.run([*command, "put", "m", "v"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (DONE, b"")
    done = subprocess.run([*command, "get", "m"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (DONE, b"v")
