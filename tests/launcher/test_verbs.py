"""The launcher's verbs, each as its user types it, on clusters of fake nodes."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys

import launcher
from launch.record import read_record
from tests.launcher.ground import DEADLINE_S, FAKE, Ground, until


def pid_of(ground, name, capsys):
    """The process of a node, as status has it."""
    return {node["name"]: node["pid"] for node in status(ground, capsys)["nodes"]}[name]


def status(ground, capsys):
    """The object that `status --json` prints."""
    capsys.readouterr()
    ground.run("status", "--json")
    return json.loads(capsys.readouterr().out)


def test_up_detached_returns_when_the_cluster_takes_writes(ground, capsys):
    """And status tells a program all it needs, in exactly these words."""
    assert ground.up(nodes=3) == 0
    clients = ",".join(f"127.0.0.1:{ground.base_port + node}" for node in (1, 2, 3))
    assert f"kvorum takes writes at {clients}\n" in capsys.readouterr().out

    found = status(ground, capsys)
    assert list(found) == ["cluster", "leader", "term", "nodes"]
    assert (found["cluster"], found["leader"], found["term"]) == ("kvorum", "node1", 1)
    assert [node["name"] for node in found["nodes"]] == ["node1", "node2", "node3"]
    pid = found["nodes"][1].pop("pid")
    assert pid in ground.processes()
    assert found["nodes"][1] == {
        "name": "node2",
        "id": 2,
        "alive": True,
        "role": "follower",
        "term": 1,
        "commit": 4,
        "applied": 3,
        "last": 5,
        "client": f"127.0.0.1:{ground.base_port + 2}",
        "peer": f"127.0.0.1:{ground.base_port + 102}",
    }


def test_status_is_a_table_for_people(ground, capsys):
    """A line a node; the exit code says whether somebody leads."""
    assert ground.up(nodes=3) == 0
    capsys.readouterr()
    assert ground.run("status") == 0
    shown = capsys.readouterr().out
    assert "node1 leads term 1" in shown
    assert "3 of 3 nodes answer" in shown

    assert ground.run("stop", "node2") == 0
    assert ground.run("status") == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(" node2"))
    assert row.split() == ["node2", "stopped", f"127.0.0.1:{ground.base_port + 2}"]

    assert ground.run("down") == 0
    assert ground.run("status") == 1
    assert "nobody leads" in capsys.readouterr().out


def test_down_leaves_no_process(ground, capsys):
    """And says so; a second one finds nothing to do."""
    assert ground.up(nodes=5) == 0
    assert len(ground.processes()) == 6
    assert ground.run("down") == 0
    until(lambda: not ground.processes(), "all processes ended")
    assert ground.run("down") == 0
    assert "nothing is started" in capsys.readouterr().out


def test_a_directory_has_one_supervisor(ground, capsys):
    """Two would start each node twice."""
    assert ground.up() == 0
    assert ground.up() == 2
    assert "is in use" in capsys.readouterr().err


def test_one_node_is_stopped_and_started(ground, capsys):
    """Stopped means until it is started; both return when it is so."""
    assert ground.up() == 0
    assert ground.run("stop", "node1") == 0
    assert pid_of(ground, "node1", capsys) is None
    assert ground.run("start", "node1") == 0
    before = pid_of(ground, "node1", capsys)
    assert before in ground.processes()
    assert ground.run("restart", "node1") == 0
    assert pid_of(ground, "node1", capsys) not in {before, None}


def test_a_killed_node_comes_back(ground, capsys):
    """The supervisor notices, says so, and starts it again."""
    assert ground.up() == 0
    before = pid_of(ground, "node1", capsys)
    assert ground.run("kill", "node1") == 0
    assert before not in ground.processes()
    until(lambda: pid_of(ground, "node1", capsys) not in {before, None}, "node1 runs again")
    assert "node1 was killed by SIGKILL; it starts again in 0.2 s" in ground.log()


def test_a_paused_node_hangs_until_it_is_resumed(ground, capsys):
    """It is there, and does not answer."""
    assert ground.up() == 0
    assert ground.run("pause", "node1") == 0
    node = status(ground, capsys)["nodes"][0]
    assert (node["alive"], node["role"]) == (False, None)
    assert node["pid"] in ground.processes()

    assert ground.run("pause", "node1") == 2
    assert "node1 is paused" in capsys.readouterr().err
    assert ground.run("resume", "node1") == 0
    assert status(ground, capsys)["nodes"][0]["alive"]


def test_a_paused_node_can_be_stopped(ground):
    """It could not hear SIGTERM: it is woken first."""
    assert ground.up() == 0
    assert ground.run("pause", "node1") == 0
    assert ground.run("stop", "node1") == 0


def test_verbs_on_nodes_say_what_they_cannot_do(ground, capsys):
    """A sentence and a code, no traceback."""
    assert ground.run("stop", "node1") == 1
    assert "nothing is started" in capsys.readouterr().err
    assert ground.up(nodes=3) == 0
    assert ground.run("stop", "node9") == 2
    assert "no node is called node9: there are node1, node2, node3" in capsys.readouterr().err
    assert ground.run("stop", "node2") == 0
    assert ground.run("kill", "node2") == 2
    assert "node2 is stopped" in capsys.readouterr().err


def test_a_node_that_refuses_is_reported_not_retried(ground, capsys):
    """The others serve; whoever starts it again hears why it does not."""
    ground.tell("node3", "refuse port 7103 is taken")
    assert ground.up(nodes=3) == 0
    assert ground.run("start", "node3") == 1
    assert "kvorum: node3 refused to start: port 7103 is taken\n" in capsys.readouterr().err
    assert ground.log("node3").count("starting") == 2

    ground.tell("node3", "")
    assert ground.run("start", "node3") == 0


def test_up_fails_with_the_nodes_own_reasons(ground, capsys):
    """When no majority can start there is nothing to wait for, and nothing goes on."""
    ground.tell("node1", "refuse port 1 is taken")
    ground.tell("node2", "refuse the data is of cluster x")
    assert ground.up(nodes=3) == 2
    error = capsys.readouterr().err
    assert "node1 refused to start: port 1 is taken" in error
    assert "node2 refused to start: the data is of cluster x" in error
    assert ground.processes() == []


def test_up_gives_up_in_time(ground, capsys):
    """Nodes that run and never answer are a failure too, and are stopped."""
    ground.tell("node1", "deaf")
    assert ground.up("--timeout", "0.5") == 1
    assert "no write was taken in time: node1 running" in capsys.readouterr().err
    assert ground.processes() == []


def test_a_node_that_keeps_dying_is_started_with_back_off(ground):
    """Each time a little later, so that a broken node does not burn the machine."""
    ground.tell("node3", "die")
    assert ground.up(nodes=3) == 0
    until(lambda: "ended with exit code 1; it starts again in 0.8 s" in ground.log(), "back-off")
    assert "it starts again in 0.2 s" in ground.log()
    assert "it starts again in 0.4 s" in ground.log()


def test_a_change_of_leaders_is_told(ground):
    """The log of a detached launcher tells the story of the cluster."""
    assert ground.up(nodes=2) == 0
    assert "node1 became leader of term 1" in ground.log()
    (ground.data / "leads").write_text("2 5")
    until(lambda: "node2 became leader of term 5" in ground.log(), "the new leader is told")


def test_a_killed_supervisor_leaves_no_orphan(ground, capsys):
    """Not even a paused one; what it wrote down does not fool the next one."""
    assert ground.up(nodes=2) == 0
    assert ground.run("pause", "node2") == 0
    record = read_record(ground.data)
    assert record
    os.kill(record.pid, signal.SIGKILL)
    os.waitpid(record.pid, 0)
    until(lambda: not ground.processes(), "the nodes ended with their supervisor")

    assert ground.run("stop", "node1") == 1
    assert "nothing is started" in capsys.readouterr().err
    assert ground.up(nodes=2) == 0


def test_clusters_run_side_by_side(ground, tmp_path, capsys):
    """Each has its own data and ports; a verb means the one in its directory."""
    other = Ground(tmp_path / "other")
    assert ground.up() == 0
    assert other.up(nodes=2) == 0
    assert len(status(other, capsys)["nodes"]) == 2
    assert other.run("down") == 0
    assert status(ground, capsys)["leader"] == "node1"


def test_logs_show_the_end_of_each_file(ground, capsys):
    """Of one node, or of all with their names."""
    assert ground.up() == 0
    capsys.readouterr()
    assert ground.run("logs", "node1", "-n", "1") == 0
    line = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info    node1 starting\n"
    assert re.fullmatch(line, capsys.readouterr().out)
    assert ground.run("logs") == 0
    shown = capsys.readouterr().out
    assert re.search(rf"^node1    \| {line}", shown, re.MULTILINE)
    names = [line.split()[0] for line in shown.splitlines()]
    assert names[0] == names[-1] == "launcher"  # what happened first is told first


def test_logs_can_be_followed(ground):
    """What a node tells later is shown when it tells it."""
    assert ground.up() == 0
    follower = ground.spawn("logs", "node1", "-f", "-n", "0", "--data", str(ground.data))
    assert follower.stdout
    lines: list[str] = []
    while not lines:
        with (ground.data / "node1.log").open("a") as log:
            log.write("told later\n")
        if select.select([follower.stdout], [], [], 0.2)[0]:
            lines.append(follower.stdout.readline())
    assert lines == ["told later\n"]
    follower.send_signal(signal.SIGINT)
    assert follower.wait(DEADLINE_S) == 130
    follower.communicate()


def test_logs_are_kept_within_their_bound(ground):
    """The nodes' and the launcher's own; the one before is kept as well."""
    (ground.data.parent / "config.yaml").write_text("log_file_bytes_max: 4096")
    ground.data.mkdir()
    logs = [ground.data / f"{name}.log" for name in ("node1", "launcher")]
    for log in logs:
        log.write_text("x" * 5_000 + "\n")
    assert ground.up() == 0
    until(lambda: all(log.with_name(f"{log.name}.1").exists() for log in logs), "both begin anew")
    until(lambda: all(log.stat().st_size < 4_096 for log in logs), "both are short again")


def test_wipe_wants_to_be_sure(ground, capsys):
    """It names what it would remove, never touches a running cluster, and nothing of others."""
    assert ground.up(nodes=2) == 0
    (ground.data / "mine.txt").write_text("keep")
    assert ground.run("wipe", "--yes") == 2
    assert "runs" in capsys.readouterr().err
    assert ground.run("down") == 0
    assert ground.run("wipe") == 2
    assert f"{ground.data / 'node2'}" in capsys.readouterr().err
    assert ground.run("wipe", "--yes") == 0
    assert [file.name for file in ground.data.iterdir()] == ["mine.txt"]
    capsys.readouterr()
    assert ground.run("wipe") == 0
    assert capsys.readouterr().out == f"nothing is left in {ground.data}\n"
    assert ground.run("logs") == 1
    assert capsys.readouterr().err == f"kvorum: no log of anybody is in {ground.data}\n"


def test_up_in_the_foreground_tells_lines_and_stops_on_ctrl_c(ground):
    """Without a terminal; Ctrl-C is a clean end."""
    process = ground.spawn("up", *ground.up_arguments)
    assert process.stdout
    told: list[str] = []
    while not told or "is up" not in told[-1]:
        told.append(process.stdout.readline())
        assert told[-1], f"it ended: {told}"
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert error == ""
    assert all(f"node{node} stopped" in out for node in (1, 2, 3))


def test_a_node_that_does_not_stop_is_killed(ground):
    """After the time that the config gives it."""
    (ground.data.parent / "config.yaml").write_text("stop_timeout_ms: 300")
    ground.tell("node1", "ignore SIGTERM")
    assert ground.up() == 0
    assert ground.run("down") == 0
    assert "node1 did not stop within 0.3 s and is killed" in ground.log()


def test_up_on_a_terminal_shows_the_cluster_at_work(ground):
    """A table, what happened, and how to end it."""
    pid, terminal = up_on_a_terminal(ground)
    shown = bytearray()

    def all_is_shown():
        shown.extend(read_some(terminal))
        return b"3 of 3 nodes answer" in shown and b"is up" in shown

    until(all_is_shown, "the whole cluster")
    for word in (b"writes/s", b"node3", b"leader", b"Ctrl-C stops the cluster"):
        assert word in shown
    os.write(terminal, b"\x03")
    del shown[:]

    def all_is_told():
        shown.extend(some := read_some(terminal))
        return not some and not ground.processes()

    until(all_is_told, "Ctrl-C stopped it")
    assert b"It is stopped; data and logs are in" in shown
    assert os.waitpid(pid, 0)[1] == 0
    os.close(terminal)


def test_the_last_picture_shows_who_refused(ground):
    """Not that all of them are stopped, as after Ctrl-C."""
    for name in ("node1", "node2"):
        ground.tell(name, "refuse port 1 is taken")
    pid, terminal = up_on_a_terminal(ground)
    shown = bytearray()

    def has_ended():
        shown.extend(read_some(terminal))
        return b"It is stopped" in shown

    until(has_ended, "it gives up")
    picture = shown[shown.rindex(b"applied") : shown.rindex(b"127.0.0.1:")]
    assert picture.count(b"refused") == 2
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    os.close(terminal)


def up_on_a_terminal(ground: Ground) -> tuple[int, int]:
    """The process, and the other end of its terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execv(sys.executable, [sys.executable, str(FAKE), "up", *ground.up_arguments])
    return pid, terminal


def read_some(master: int) -> bytes:
    """What came within a moment."""
    if not select.select([master], [], [], 0.2)[0]:
        return b""
    try:
        return os.read(master, 65_536)
    except OSError:
        return b""  # the other end is closed


def test_a_missing_package_is_one_sentence(ground):
    """Who has not installed anything is told what to run."""
    command = [sys.executable, "-S", launcher.__file__, "up", *ground.up_arguments]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode != 0
    assert len(found.stderr.splitlines()) == 1
    assert "needs the package" in found.stderr
    assert "make env" in found.stderr


def test_what_is_logged_can_be_one_object_a_line(ground, capsys):
    """What the nodes tell, and what the launcher does; logs() reads it as well."""
    ground.tell("node2", "refuse port 1 is taken")
    assert ground.up("--log-format", "json", nodes=3) == 0
    assert "node2 refused to start: port 1 is taken" in capsys.readouterr().err
    assert ground.run("logs") == 0
    lines = capsys.readouterr().out.splitlines()
    told = [json.loads(line.partition(" | ")[2]) for line in lines]
    assert {event["node"] for event in told} == {"launcher", "node1", "node2", "node3"}
    assert all(list(event)[:4] == ["time", "level", "node", "event"] for event in told)
    assert ground.up("--log-format", "loud") == 2
    assert "log_format is 'loud': it must be one of human, json" in capsys.readouterr().err


def test_numbers_that_make_no_sense_are_refused(ground, capsys):
    """With what is allowed."""
    for seconds in ("0", "-1", "nan", "inf"):
        assert ground.up("--timeout", seconds) == 2
        error = capsys.readouterr().err
        assert error == f"kvorum: --timeout is {seconds}: it must be a number of seconds above 0\n"
    assert ground.run("logs", "-n", "-1") == 2
    assert "--lines is -1: it must be a whole number from 0 to" in capsys.readouterr().err


def test_a_bad_config_is_one_sentence(ground, tmp_path, capsys):
    """It names the file, the key and what is allowed."""
    (tmp_path / "bad.yaml").write_text("heartbeat_ms: soon")
    assert ground.run("status", "--config", str(tmp_path / "bad.yaml")) == 2
    error = capsys.readouterr().err
    assert error == (
        f"kvorum: {tmp_path / 'bad.yaml'}: heartbeat_ms is 'soon': it must be a whole number"
        " from 1 to 3600000\n"
    )


def test_a_directory_that_cannot_be_made_is_one_sentence(ground, capsys):
    """Where a file is in the way, or rights are missing."""
    ground.data.write_text("in the way")
    assert ground.up() == 2
    assert "launcher.lock: Not a directory" in capsys.readouterr().err
    ground.data.unlink()


def test_a_node_runs_in_the_foreground(ground):
    """For systemd or a container: SIGTERM is a clean end."""
    process = ground.spawn("node", "node2", *ground.up_arguments)
    assert process.stderr
    assert "node2 starting" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0


def test_nodes_of_other_machines_are_left_to_them(ground, capsys):
    """The supervisor starts what is here, and counts itself up when that answers."""
    (ground.data.parent / "config.yaml").write_text(f"""
nodes:
  - {{name: here, id: 1, host: 127.0.0.1, client_port: {ground.base_port + 1}, peer_port: 2}}
  - {{name: there, id: 2, host: 192.0.2.1, client_port: 1, peer_port: 2}}
  - {{name: elsewhere, id: 3, host: no-such-host.invalid, client_port: 1, peer_port: 2}}
""")
    assert launcher.main(["up", "--detach", "--data", str(ground.data)]) == 0
    assert [node["alive"] for node in status(ground, capsys)["nodes"]] == [True, False, False]
    assert ground.run("stop", "there") == 2
    assert "no there runs here" in capsys.readouterr().err
