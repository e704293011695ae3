"""The clerk's command line: `clerk put KEY VALUE`, `append`, `get`, `status`, `repl`.

Exit codes: 0 done; 1 not applied; 2 the command makes no sense; 3 unknown, whether it was applied;
4 the key has no value.
"""

import argparse
import base64
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from actors.clerk import Clerk
from actors.clerkcalls import LEVELS, TIMEOUT_S, endpoints_of
from actors.clerkerrors import KvorumError, OutcomeUnknown
from actors.config import ConfigError, load
from actors.status import leadership

DONE, NOT_APPLIED, USAGE, UNKNOWN, MISSING = range(5)
"""Exit codes."""

CONFIG_FILE = Path("config.yaml")
VERBS = ("put", "append", "get", "status", "help", "quit")
KEYS_SEEN_MAX = 10_000
HELP = "put KEY VALUE | append KEY VALUE | get KEY | status | quit; quotes as in a shell\n"

COLUMNS = ("name", "role", "term", "commit_index", "applied_index", "writes", "pid")


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        with Clerk(_servers(arguments), arguments.timeout) as clerk:
            run: Callable[[Clerk, argparse.Namespace], int] = arguments.run
            return run(clerk, arguments)
    except KvorumError as error:
        return _fail(str(error), UNKNOWN if isinstance(error, OutcomeUnknown) else NOT_APPLIED)
    except (ConfigError, ValueError) as error:
        return _fail(str(error), USAGE)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def put(clerk: Clerk, arguments: argparse.Namespace) -> int:
    """Set a value."""
    clerk.put(_bytes(arguments.key), _value(arguments.value))
    return _done(arguments)


def append(clerk: Clerk, arguments: argparse.Namespace) -> int:
    """Add to the end of a value."""
    clerk.append(_bytes(arguments.key), _value(arguments.value))
    return _done(arguments)


def get(clerk: Clerk, arguments: argparse.Namespace) -> int:
    """Print a value as it is; on a terminal and in the repl, on a line of its own."""
    found = clerk.lookup(_bytes(arguments.key), arguments.level)
    if arguments.json:
        _say(json.dumps({"key": arguments.key, **_as_json(found)}))
    elif found is not None:
        sys.stdout.buffer.write(found + (b"\n" if sys.stdout.isatty() or arguments.lines else b""))
        sys.stdout.buffer.flush()
    if found is None:
        return MISSING if arguments.json else _fail(f"{arguments.key} has no value", MISSING)
    return DONE


def status(clerk: Clerk, arguments: argparse.Namespace) -> int:
    """Print how each node is; not done if nobody leads."""
    answers = clerk.status(min(arguments.timeout, 1.0))
    leader, term = leadership(found for found in answers.values() if found)
    if arguments.json:
        nodes = {at: found._asdict() if found else None for at, found in answers.items()}
        _say(json.dumps({"leader": leader, "term": term, "nodes": nodes}))
        return DONE if leader else NOT_APPLIED
    rows = [("endpoint", *(column.partition("_")[0] for column in COLUMNS))]
    for at, found in answers.items():
        told = [str(getattr(found, column)) for column in COLUMNS] if found else ["no answer"]
        rows.append((at, *told))
    for row in rows:
        _say(
            "".join(f"{cell:<22}" if not place else f"{cell:<11}" for place, cell in enumerate(row))
        )
    return DONE if leader else NOT_APPLIED


def repl(clerk: Clerk, arguments: argparse.Namespace) -> int:
    """One command a line, until `quit` or the end; Tab completes verbs and keys seen."""
    keys: dict[str, None] = {}
    _complete(keys)
    while True:
        try:
            words = shlex.split(input("clerk> " if sys.stdin.isatty() else ""))
        except EOFError:
            return DONE
        except ValueError as error:
            _fail(str(error), USAGE)
            continue
        if words[:1] == ["quit"]:
            return DONE
        if words[1:] and len(keys) < KEYS_SEEN_MAX:
            keys[words[1]] = None
        if words:
            _do(clerk, words, arguments)


def _do(clerk: Clerk, words: list[str], arguments: argparse.Namespace) -> None:
    """One line of the repl; what goes wrong is said, and the next line is read."""
    verbs = {"put": (put, 3), "append": (append, 3), "get": (get, 2), "status": (status, 1)}
    run, count = verbs.get(words[0], (None, 0))
    if run is None or len(words) != count:
        sys.stderr.write(HELP)
        return
    names = dict(zip(("key", "value"), words[1:], strict=False))
    call = argparse.Namespace(
        **{**vars(arguments), "level": "linearizable", "lines": True, **names}
    )
    try:
        run(clerk, call)
        if run in (put, append) and not arguments.json:
            _say("ok")
    except (KvorumError, ValueError) as error:
        _fail(str(error), NOT_APPLIED)


def _complete(keys: dict[str, None]) -> None:
    """Let Tab complete words, where this Python can."""
    with suppress(ImportError):
        import readline  # noqa: PLC0415 - importing it changes the terminal

        readline.set_completer(_completer(keys, readline.get_begidx))
        readline.set_completer_delims(" ")
        readline.parse_and_bind("tab: complete")


def _completer(
    keys: dict[str, None], begins: Callable[[], int]
) -> Callable[[str, int], str | None]:
    """What readline asks for one completion after the other: verbs first, then keys seen."""

    def complete(text: str, state: int) -> str | None:
        words: Sequence[str] = VERBS if begins() == 0 else list(keys)
        found = [word for word in words if word.startswith(text)]
        return found[state] + " " if state < len(found) else None

    return complete


def _servers(arguments: argparse.Namespace) -> list[str]:
    if arguments.endpoints:
        return endpoints_of(arguments.endpoints)
    file = arguments.config or (CONFIG_FILE if CONFIG_FILE.exists() else None)
    return [node.client for node in load(file).nodes]


def _value(word: str) -> bytes:
    return sys.stdin.buffer.read() if word == "-" else _bytes(word)


def _bytes(word: str) -> bytes:
    """Exactly the bytes that the shell handed over, UTF-8 or not."""
    return os.fsencode(word)


def _as_json(value: bytes | None) -> dict[str, str | None]:
    """As text if it is text."""
    if value is None:
        return {"value": None}
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        return {"value_base64": base64.b64encode(value).decode()}


def _done(arguments: argparse.Namespace) -> int:
    if arguments.json:
        _say(json.dumps({"key": arguments.key, "ok": True}))
    return DONE


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _fail(sentence: str, code: int) -> int:
    sys.stderr.write(f"clerk: {sentence}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    about, _, codes = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="clerk", description=about, epilog=codes)
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: config.yaml here")
    parser.add_argument("--endpoints", metavar="HOST:PORT,...", help="instead of a config")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_S, metavar="S")
    parser.add_argument("--json", action="store_true", help="answer as one JSON object")
    parser.set_defaults(lines=False)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for run, text in ((put, "set a value"), (append, "add to the end of a value")):
        writes = verbs.add_parser(run.__name__, help=text)
        writes.set_defaults(run=run)
        writes.add_argument("key", metavar="KEY")
        writes.add_argument("value", metavar="VALUE", help="- reads it from the standard input")
    reads = verbs.add_parser("get", help="print a value")
    reads.set_defaults(run=get)
    reads.add_argument("key", metavar="KEY")
    reads.add_argument("--level", choices=LEVELS, default="linearizable")
    verbs.add_parser("status", help="how each node is").set_defaults(run=status)
    verbs.add_parser("repl", help="one command a line").set_defaults(run=repl)
    return parser
