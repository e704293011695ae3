"""The clerk line by line: a prompt on a terminal, a script elsewhere."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from actors.clerk import Clerk
from actors.clerkerrors import KvorumError
from actors.clerkverbs import DONE, NOT_APPLIED, append, fail, get, put, say, status

VERBS = ("put", "append", "get", "status", "help", "quit")
KEYS_SEEN_MAX = 10_000
HELP = "put KEY VALUE | append KEY VALUE | get KEY | status | quit; quotes as in a shell\n"
GREETING = "Tab completes, help lists what there is, quit or Ctrl-D leaves."


def repl(clerk: Clerk, arguments: argparse.Namespace) -> int:
    """One command a line, until `quit` or the end; Tab completes verbs and keys seen."""
    keys: dict[str, None] = {}
    _complete(keys)
    by_hand = sys.stdin.isatty()
    if by_hand:
        say(GREETING)
    while True:
        try:
            line = input("clerk> " if by_hand else "")
            if line.strip() in {"quit", "exit"}:
                return DONE
            _do(clerk, line, arguments, keys)
        except EOFError:
            if by_hand:
                say("")  # the shell's prompt gets a line of its own
            return DONE
        except KeyboardInterrupt:  # at a prompt it means this line, not the session
            if not by_hand:
                raise
            say("")


def _do(clerk: Clerk, line: str, arguments: argparse.Namespace, keys: dict[str, None]) -> None:
    """One line of it; what goes wrong is said, and the next line is read."""
    verbs = {"put": (put, 3), "append": (append, 3), "get": (get, 2), "status": (status, 1)}
    try:
        words = shlex.split(line, comments=True)
        if not words:
            return
        run, count = verbs.get(words[0], (None, 0))
        if run is None or len(words) != count:
            sys.stderr.write(HELP)
            return
        if words[1:] and len(keys) < KEYS_SEEN_MAX:
            keys[words[1]] = None
        names = dict(zip(("key", "value"), words[1:], strict=False))
        told = {"level": "linearizable", "lines": True}
        run(clerk, argparse.Namespace(**vars(arguments) | told | names))
        if run in (put, append) and not arguments.json:
            say("ok")
    except (KvorumError, ValueError) as error:
        fail(str(error), NOT_APPLIED)


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
