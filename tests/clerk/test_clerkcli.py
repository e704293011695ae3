"""The command line `clerk`: what it prints, and its exit codes."""

import io
import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from actors.clerk import main
from actors.clerkrepl import GREETING, _completer
from actors.clerkverbs import DONE, MISSING, NOT_APPLIED, USAGE

DEADLINE_S = 20.0


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
    code, told, _ = run("get", "cli-json-missing", "--json")
    assert (code, json.loads(told)) == (MISSING, {"key": "cli-json-missing", "value": None})


def test_keys_that_are_no_text_go_in_and_come_out(run):
    """The bytes that the shell handed over; JSON has them in base64."""
    assert run("put", "cli\udcff", "x") == (DONE, b"", b"")
    _, told, _ = run("--json", "get", "cli\udcff")
    assert json.loads(told) == {"key_base64": "Y2xp/w==", "value": "x"}


def test_a_value_without_end_is_refused(run, monkeypatch):
    """It is read no further than shows that it is too long."""
    stdin(monkeypatch, b"x" * 3_000_000)
    code, _, complaint = run("put", "cli-endless", "-")
    assert code == NOT_APPLIED
    assert b"the value is larger than the cluster takes" in complaint
    assert len(sys.stdin.buffer.read()) > 1_000_000


def test_a_missing_package_is_one_sentence():
    """Who runs it from a clone, with a Python that has nothing, is told what to do."""
    command = [sys.executable, "-S", "-m", "actors.clerk", "get", "key"]
    found = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert found.returncode != 0
    assert len(found.stderr.splitlines()) == 1
    assert "needs the package" in found.stderr


def test_status_shows_every_node(run, cluster):
    """As a table, and as JSON."""
    code, told, _ = run("status")
    lines = told.decode().splitlines()
    assert (code, lines[0].split()[:3]) == (DONE, ["node", "role", "term"])
    assert [line.split()[0] for line in lines[1:]] == list(cluster.names)
    assert "leader" in told.decode()
    _, told, _ = run("--json", "status")
    found = json.loads(told)
    assert list(found) == ["cluster", "leader", "term", "nodes"]
    assert list(found["nodes"][0]) == [
        *("name", "id", "alive", "pid", "role", "term", "commit", "applied", "last", "client")
    ]
    assert (found["nodes"][0]["name"], found["nodes"][0]["client"]) == (
        "node1",
        cluster.endpoints[0],
    )


def test_where_nobody_is_says_so(capfd):
    """1: not applied; status too, as nobody leads."""
    nobody = ["--endpoints", "127.0.0.1:1", "--timeout", "0.2"]
    assert main([*nobody, "put", "k", "v"]) == NOT_APPLIED
    assert capfd.readouterr().err.endswith("in time (key b'k'); asked 127.0.0.1:1\n")
    assert main([*nobody, "status"]) == NOT_APPLIED
    assert "no answer" in capfd.readouterr().out
    assert main([*nobody, "status", "--json"]) == NOT_APPLIED
    found = json.loads(capfd.readouterr().out)
    assert (found["leader"], found["nodes"][0]["alive"]) == (None, False)


def test_what_makes_no_sense_is_refused(run, tmp_path):
    """2, with one sentence."""
    sentence = b"clerk: a key is empty: it must have at least one byte\n"
    assert run("put", "", "v") == (USAGE, b"", sentence)
    assert main(["--config", str(tmp_path / "none.yaml"), "status"]) == USAGE
    for nowhere in ("nowhere", ""):
        assert main(["--endpoints", nowhere, "status"]) == USAGE
    for timeout in ("0", "-1", "nan", "inf"):
        assert run("--timeout", timeout, "get", "k")[0] == USAGE
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


def test_the_repl_is_a_prompt_on_a_terminal(cluster):
    """Tab completes, Ctrl-D ends it with a line of its own."""
    command = [sys.executable, "-m", "actors.clerk", "--endpoints", cluster.endpoints[0], "repl"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "dumb"
        os.chdir(Path(__file__).parents[2])
        os.execv(sys.executable, command)
    shown = bytearray()

    def wait_for(words: bytes) -> None:
        while words not in shown:
            assert select.select([terminal], [], [], DEADLINE_S)[0], f"no {words!r}: {shown!r}"
            shown.extend(os.read(terminal, 4096))
        del shown[: shown.index(words) + len(words)]

    wait_for(GREETING.encode())
    wait_for(b"clerk> ")
    os.write(terminal, b"pu\trepl-key 'red apple'\n")
    wait_for(b"ok\r\nclerk> ")
    os.write(terminal, b"get re\t\n")
    wait_for(b"red apple\r\nclerk> ")
    os.write(terminal, b"\x04")
    wait_for(b"\r\n")
    assert os.waitpid(pid, 0)[1] == DONE
    os.close(terminal)


def test_ctrl_c_gives_up_a_line_at_the_prompt_and_ends_a_script(run, monkeypatch):
    """Not by a signal: one that comes just before Python waits for it is late."""
    told: list[str | BaseException]
    told = [KeyboardInterrupt(), "put repl-c 1", "get repl-c", EOFError(), KeyboardInterrupt()]

    def read(_prompt: str) -> str:
        line = told.pop(0)
        if isinstance(line, BaseException):
            raise line
        return line

    monkeypatch.setattr("builtins.input", read)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert run("repl") == (DONE, f"{GREETING}\n\nok\n1\n\n".encode(), b"")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert run("repl") == (130, b"", b"")


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
