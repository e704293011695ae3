"""The command line of a cluster: one subprocess a node, supervised, shown, stopped."""

import argparse
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from actors.packages import end_without

try:
    from rich.live import Live

    from actors.addresses import BASE_PORT
    from actors.config import ConfigError
    from actors.configvalue import integer, seconds
    from actors.orders import Report
    from actors.status import Board, ask_all
    from launch import detach, record, screen, wipe
    from launch.child import REFUSED_CODE, State
    from launch.logs import Tail, log_of, merged
    from launch.parent import end_with
    from launch.place import (
        NoSupervisor,
        Place,
        find,
        known_here,
        order,
        reports,
        view_of,
        who_may_answer,
    )
    from launch.supervisor import Goal, Supervisor
    from launch.view import Screen
except ModuleNotFoundError as missing:
    end_without(missing)

if not __debug__:
    sys.exit("assert is part of the safety case: do not run with -O")

SELF = Path(__file__)
"""What a supervisor and its nodes are started from."""

Verb = Callable[[argparse.Namespace], int]

ASK_S = 1.0
STOP_S = 5.0  # for the supervisor to end after the last node had its time
WATCH_S = 0.5
TIMEOUT_S = 30.0
LOG_LINES = 100
LOG_LINES_MAX = 10**9
LOG_LOOK_S = 0.2

VERBS: dict[str, tuple[str, Callable[[Report, Report], bool]]] = {
    "start": ("start a node that was stopped", lambda now, _: now["answers"]),
    "stop": ("stop a node, until it is started", lambda now, _: now["state"] == "stopped"),
    "kill": ("SIGKILL: it is started again", lambda now, old: now["pid"] != old["pid"]),
    "restart": (
        "stop a node and start it",
        lambda now, old: now["answers"] and now["pid"] != old["pid"],
    ),
    "pause": ("SIGSTOP: let a node hang", lambda now, _: now["state"] == "paused"),
    "resume": ("SIGCONT: let it go on", lambda now, _: now["state"] == "running"),
}
"""Of one node: what it is for, and whether it is done, seen from the reports of now and before."""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; 0: done, 1: not done, 2: refused, as it makes no sense."""
    arguments = _parser().parse_args(argv)
    run: Verb = arguments.run
    try:
        return run(arguments)
    except ConfigError as error:
        return _fail(str(error), REFUSED_CODE)
    except NoSupervisor as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a directory that may not be written, a full disk
        return _fail(f"{error.filename or 'the system'}: {error.strerror}", REFUSED_CODE)


def up(arguments: argparse.Namespace) -> int:
    """Start the cluster, and stay with it until it is stopped."""
    seconds("--timeout", arguments.timeout)
    place = find(arguments, as_recorded=False)
    if record.is_claimed(place.data):
        raise ConfigError(f"{place.data} is in use: `down` stops the cluster that runs there")
    place.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if arguments.detach:
        return _up_detached(place, arguments.timeout)
    if not sys.stdout.isatty():
        return _supervise(place, screen.Lines(place.config.log_format), arguments)
    kept = f"data and logs are in {place.data}"
    hint, farewell = f"Ctrl-C stops the cluster; {kept}", f"It is stopped; {kept}"
    with screen.LiveScreen(screen.console(), hint, farewell) as live:
        return _supervise(place, live, arguments)


def down(arguments: argparse.Namespace) -> int:
    """Stop the cluster, and return when it has stopped."""
    place = find(arguments)
    kept = record.read_record(place.data)
    if kept is None or not record.is_claimed(place.data):
        print(f"nothing is started in {place.data}")
        return 0
    with suppress(NoSupervisor):
        order(place, "down")
    deadline = time.monotonic() + place.config.stop_timeout_ms / 1000 + STOP_S
    while record.is_claimed(place.data):
        if time.monotonic() >= deadline:
            os.kill(kept.pid, signal.SIGKILL)  # its nodes end with it
            return _fail(f"the supervisor, pid {kept.pid}, did not stop in time and was killed")
        time.sleep(0.02)
    print("stopped")
    return 0


def status(arguments: argparse.Namespace) -> int:
    """Show how the cluster is; 1 if nobody leads."""
    place = find(arguments)
    if arguments.watch:
        return _watch(place, as_json=arguments.json)
    known = known_here(place)
    view = view_of(place, known, ask_all(who_may_answer(place, known), ASK_S))
    if arguments.json:
        print(screen.as_json(view))
    else:
        screen.console().print(screen.overview(view, with_rates=False))
    return 0 if view.leadership.leader else 1


def act(arguments: argparse.Namespace) -> int:
    """Do one verb to one node, and return when it is done."""
    place, verb, name = find(arguments), arguments.verb, arguments.node
    place.config.node(name)
    before = order(place, "report")["nodes"].get(name)
    order(place, verb, name)
    state = ""
    for now in reports(place, name, TIMEOUT_S):
        state = now["state"]
        if verb in {"start", "restart"} and state in {"refused", "waiting"}:
            return _fail(_why_down(name, now))
        if VERBS[verb][1](now, before):
            print(f"{name} was killed" if verb == "kill" else f"{name} is {state}")
            return 0
    return _fail(f"{name} is still {state} after {TIMEOUT_S:g} s: see `logs {name}`")


def logs(arguments: argparse.Namespace) -> int:
    """Print the end of the logs, and what comes if wanted."""
    integer("--lines", arguments.lines, 0, LOG_LINES_MAX)
    place = find(arguments)
    every = [*(node.name for node in place.config.nodes), "launcher"]
    names = [arguments.node] if arguments.node else every
    if names[0] != "launcher":
        place.config.node(names[0])
    files = {name: log_of(place.data, name) for name in names}
    if not arguments.follow and not any(file.exists() for file in files.values()):
        return _fail(f"no log of {arguments.node or 'anybody'} is in {place.data}")
    tails = {name: Tail(file, arguments.lines) for name, file in files.items()}
    while True:
        for name, line in merged(tails):
            print(f"{name:<8} | {line}" if len(names) > 1 else line, flush=arguments.follow)
        if not arguments.follow:
            return 0
        time.sleep(LOG_LOOK_S)


def wipe_data(arguments: argparse.Namespace) -> int:
    """Remove all data of a cluster that is not running."""
    place = find(arguments)
    if record.is_claimed(place.data):
        raise ConfigError(f"the cluster in {place.data} runs: `down` stops it")
    names = [node.name for node in place.config.nodes]
    found = wipe.leftovers(place.data, names)
    if not found:
        print(f"nothing is left in {place.data}")
        return 0
    if not arguments.yes:
        listed = ", ".join(str(path) for path in found)
        raise ConfigError(f"this would remove {listed}: say --yes if you mean it")
    if answering := ask_all(who_may_answer(place, {}), ASK_S / 2):
        raise ConfigError(f"{', '.join(answering)} of it run: stop them first")
    wipe.remove(place.data, found)
    print(f"wiped {place.data}")
    return 0


def node(arguments: argparse.Namespace) -> int:
    """Run one node in the foreground, for a supervisor, systemd or a container."""
    if arguments.supervisor:
        end_with(arguments.supervisor)
    place = find(arguments, as_recorded=False)
    place.config.node(arguments.node)
    actors_node = importlib.import_module("actors.node")  # of the verbs, this one needs LMDB
    code: int = actors_node.run(place.config, arguments.node, place.data)
    return code


def _up_detached(place: Place, timeout_s: float) -> int:
    command = [sys.executable, str(SELF), "up", *place.arguments(), "--timeout", str(timeout_s)]
    code, reason = detach.start_detached(command, log_of(place.data, "launcher"))
    if code:
        return _fail(f"the cluster did not start: {reason}", code)
    for name, found in order(place, "report")["nodes"].items():
        if found["state"] != State.RUNNING.value:
            print(f"kvorum: {_why_down(name, found)}", file=sys.stderr)
    clients = ",".join(node.client for node in place.config.nodes)
    print(f"{place.config.cluster} takes writes at {clients}")
    print("`status` shows it, `down` stops it")
    return 0


def _why_down(name: str, found: Report) -> str:
    state = "refused to start" if found["state"] == State.REFUSED.value else f"is {found['state']}"
    return f"{name} {state}: {found['reason']}" if found["reason"] else f"{name} {state}"


def _supervise(place: Place, shown: Screen, arguments: argparse.Namespace) -> int:
    if not record.claim(place.data):
        raise ConfigError(f"{place.data} is in use by another supervisor")
    goal = Goal(arguments.timeout, detach.teller(arguments.told_fd)) if arguments.told_fd else None
    socket = record.socket_path(place.data)
    socket.unlink(missing_ok=True)
    supervisor = Supervisor(place.config, _node_command(place), f"ipc://{socket}", shown, goal)
    if not supervisor.children:
        raise ConfigError("no node lies on this machine: see `host` in the config")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.wish_stop())
    record.write_record(place.data, place.record(os.getpid(), f"ipc://{socket}"))
    try:
        return supervisor.run()
    finally:
        record.free_socket(place.data, socket)


def _node_command(place: Place) -> Callable[[str], list[str]]:
    told = [*place.arguments(), "--supervisor", str(os.getpid())]
    return lambda name: [sys.executable, str(SELF), "node", name, *told]


def _watch(place: Place, *, as_json: bool) -> int:
    """Show it again and again, until Ctrl-C."""
    board = Board(who_may_answer(place, {}), WATCH_S)
    console = screen.console()
    is_live = sys.stdout.isatty() and not as_json
    with Live(console=console, auto_refresh=False) if is_live else nullcontext() as live:
        while True:
            due_at = time.monotonic() + WATCH_S
            while (left_s := due_at - time.monotonic()) > 0:
                board.turn(wait_s=left_s)
            view = view_of(place, known_here(place), board.answers())
            if as_json:
                print(screen.as_json(view), flush=True)
            elif live:
                live.update(screen.picture(view, "Ctrl-C leaves"), refresh=True)
            else:
                console.print(screen.overview(view, with_rates=True))


def _fail(sentence: str, code: int = 1) -> int:
    print(f"kvorum: {sentence}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Start, show, disturb and stop a cluster.",
        epilog="VERB --help tells what a verb takes.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    which, how = _which_cluster(), _how_to_log()

    def verb(
        name: str, text: str, run: Verb, *more: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text, parents=[which, *more])
        added.set_defaults(run=run, verb=name)
        return added

    starts = verb("up", "start the cluster and show it", up, how)
    starts.add_argument("--detach", action="store_true", help="return as soon as it takes writes")
    waits = f"how many seconds --detach waits for that; default: {TIMEOUT_S:g}"
    starts.add_argument("--timeout", type=float, default=TIMEOUT_S, metavar="S", help=waits)
    starts.add_argument(detach.ARGUMENT, type=int, help=argparse.SUPPRESS)
    verb("down", "stop the cluster", down)
    shows = verb("status", "show how the cluster is", status)
    shows.add_argument("--json", action="store_true", help="as one JSON object")
    shows.add_argument("--watch", action="store_true", help="again and again, until Ctrl-C")
    for name, (text, _) in VERBS.items():
        verb(name, text, act).add_argument("node", metavar="NODE")
    tells = verb("logs", "print the logs", logs)
    tells.add_argument("node", nargs="?", metavar="NODE", help="or launcher; default: all")
    tells.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    ends = f"how many of each log's end; default: {LOG_LINES}"
    tells.add_argument("-n", "--lines", type=int, default=LOG_LINES, metavar="N", help=ends)
    removes = verb("wipe", "remove all data of the cluster", wipe_data)
    removes.add_argument("--yes", action="store_true", help="without it: say what it would remove")
    runs = verb("node", "run one node in the foreground", node, how)
    runs.add_argument("node", metavar="NAME")
    runs.add_argument("--supervisor", type=int, help=argparse.SUPPRESS)
    return parser


def _which_cluster() -> argparse.ArgumentParser:
    """What every verb takes."""
    options = argparse.ArgumentParser(add_help=False)
    about = "the cluster; default: config.yaml in this directory"
    options.add_argument("--config", type=Path, metavar="FILE", help=about)
    about = "where its data and logs lie; default: as the config says"
    options.add_argument("--data", type=Path, metavar="DIR", help=about)
    about = "node1 to nodeN on this machine, instead of the config's nodes"
    options.add_argument("--nodes", type=int, metavar="N", help=about)
    about = f"their ports: for clerks from P+1, for nodes from P+101; default: {BASE_PORT}"
    options.add_argument("--base-port", type=int, metavar="P", help=about)
    return options


def _how_to_log() -> argparse.ArgumentParser:
    """What those verbs take that start something."""
    options = argparse.ArgumentParser(add_help=False)
    about = "human, or json: one object a line; default: as the config says"
    options.add_argument("--log-format", metavar="FORMAT", help=about)
    return options


if __name__ == "__main__":
    sys.exit(main())
