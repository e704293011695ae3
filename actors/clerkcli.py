"""Read and change the keys of a cluster, from a shell or, with `repl`, line by line.

Exit codes: 0 done; 1 not applied; 2 the command makes no sense; 3 unknown, whether it was applied;
4 the key has no value.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from actors.clerk import Clerk
from actors.clerkcalls import LEVELS, TIMEOUT_S, endpoints_of
from actors.clerkerrors import KvorumError, OutcomeUnknown, Unavailable
from actors.clerkrepl import repl
from actors.clerkverbs import (
    DONE,
    NOT_APPLIED,
    UNKNOWN,
    USAGE,
    Verb,
    append,
    fail,
    get,
    put,
    status,
)
from actors.config import ConfigError, load
from actors.configvalue import seconds

CONFIG_FILE = Path("config.yaml")


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    arguments = _parser().parse_args(argv)
    servers: list[str] = []
    try:
        servers = _servers(arguments)
        with Clerk(servers, seconds("--timeout", arguments.timeout)) as clerk:
            run: Verb = arguments.run
            return run(clerk, arguments)
    except Unavailable as error:
        return fail(f"{error}; asked {', '.join(servers)}", NOT_APPLIED)
    except KvorumError as error:
        return fail(str(error), UNKNOWN if isinstance(error, OutcomeUnknown) else NOT_APPLIED)
    except (ConfigError, ValueError) as error:
        return fail(str(error), USAGE)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _servers(arguments: argparse.Namespace) -> list[str]:
    if arguments.endpoints is not None:
        return endpoints_of([part.strip() for part in arguments.endpoints.split(",")])
    file = arguments.config or (CONFIG_FILE if CONFIG_FILE.exists() else None)
    return [node.client for node in load(file).nodes]


def _parser() -> argparse.ArgumentParser:
    about, _, codes = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="clerk", description=about, epilog=codes, parents=[_options()]
    )
    parser.set_defaults(config=None, endpoints=None, timeout=TIMEOUT_S, json=False, lines=False)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    told = _options()

    def verb(run: Verb, text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(run.__name__, help=text, description=text, parents=[told])
        added.set_defaults(run=run)
        return added

    for writes in (verb(put, "set a value"), verb(append, "add to the end of a value")):
        writes.add_argument("key", metavar="KEY")
        writes.add_argument("value", metavar="VALUE", help="- reads it from the standard input")
    reads = verb(get, "print a value")
    reads.add_argument("key", metavar="KEY")
    fresh = "how fresh; default: linearizable"
    reads.add_argument("--level", choices=LEVELS, default="linearizable", help=fresh)
    verb(status, "show how each node is")
    verb(repl, "take one command a line")
    return parser


def _options() -> argparse.ArgumentParser:
    """What may stand before the verb and behind it; only where told does it count."""
    options = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    about = "the cluster; default: config.yaml in this directory"
    options.add_argument("--config", type=Path, metavar="FILE", help=about)
    about = "some of its nodes, instead of a config"
    options.add_argument("--endpoints", metavar="HOST:PORT,...", help=about)
    about = f"how many seconds a call may take; default: {TIMEOUT_S:g}"
    options.add_argument("--timeout", type=float, metavar="S", help=about)
    about = "answer as one JSON object"
    options.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=about)
    return options
