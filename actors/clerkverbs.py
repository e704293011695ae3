"""What the verbs of the `clerk` command do and print, in a shell and in the repl."""

import argparse
import base64
import json
import os
import sys
from collections.abc import Callable, Mapping

from actors.clerk import Clerk
from actors.status import facts, leadership
from messages.client import VALUE_BYTES_LIMIT, Status

DONE, NOT_APPLIED, USAGE, UNKNOWN, MISSING = range(5)
"""Exit codes."""

Verb = Callable[[Clerk, argparse.Namespace], int]


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
    key = _bytes(arguments.key)
    found = clerk.lookup(key, arguments.level)
    if arguments.json:
        say(json.dumps(_as_json("key", key) | _as_json("value", found)))
    elif found is not None:
        sys.stdout.buffer.write(found + (b"\n" if sys.stdout.isatty() or arguments.lines else b""))
        sys.stdout.buffer.flush()
    if found is None:
        return MISSING if arguments.json else fail(f"{arguments.key} has no value", MISSING)
    return DONE


def status(clerk: Clerk, arguments: argparse.Namespace) -> int:
    """Print how each node is; not done if nobody leads."""
    answers = clerk.status(min(arguments.timeout, 1.0))
    known = [found for found in answers.values() if found]
    leader, term = leadership(known)
    if arguments.json:
        cluster = known[0].cluster if known else None
        nodes = [_node(at, found) for at, found in answers.items()]
        say(json.dumps({"cluster": cluster, "leader": leader, "term": term, "nodes": nodes}))
    else:
        _say_table(answers)
    return DONE if leader else NOT_APPLIED


def _value(word: str) -> bytes:
    """Of the standard input no more than shows that it is too long."""
    return sys.stdin.buffer.read(VALUE_BYTES_LIMIT + 1) if word == "-" else _bytes(word)


def _bytes(word: str) -> bytes:
    """Exactly the bytes that the shell handed over, UTF-8 or not."""
    return os.fsencode(word)


def _as_json(what: str, content: bytes | None) -> dict[str, str | None]:
    """As text if it is text."""
    if content is None:
        return {what: None}
    try:
        return {what: content.decode()}
    except UnicodeDecodeError:
        return {f"{what}_base64": base64.b64encode(content).decode()}


def _node(client: str, found: Status | None) -> dict[str, object]:
    """As `kvorum status --json` has it, but for what only a config tells."""
    name, number = (found.name, found.node) if found else (None, None)
    return {"name": name, "id": number, **facts(found), "client": client}


def _say_table(answers: Mapping[str, Status | None]) -> None:
    """A line a node, what is a number to the right."""
    rows: list[tuple[str, ...]] = [("node", "role", "term", "commit", "applied", "pid", "client")]
    for at, found in answers.items():
        name, role = (found.name, found.role) if found else ("?", "no answer")
        told = facts(found)
        counts = [str(told[count] or "") for count in ("term", "commit", "applied", "pid")]
        rows.append((name, role, *counts, at))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, role, *counts, at in rows:
        numbers = (f"{count:>{width}}" for count, width in zip(counts, widths[2:], strict=False))
        say("  ".join((f"{name:<{widths[0]}}", f"{role:<{widths[1]}}", *numbers, at)))


def _done(arguments: argparse.Namespace) -> int:
    if arguments.json:
        say(json.dumps(_as_json("key", _bytes(arguments.key)) | {"ok": True}))
    return DONE


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def fail(sentence: str, code: int) -> int:
    """Complain in one line; gives the code to exit with."""
    sys.stderr.write(f"clerk: {sentence}\n")
    return code
