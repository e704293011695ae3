"""One node of PySyncObj: it drives itself when asked to, one JSON line each way on a local port."""

import json
import random
import socket
import sys
import threading
import time
from collections import Counter
from itertools import cycle
from typing import Any

from bench.tally import Line, Measured, line_of

Told = dict[str, Any]


def main() -> None:
    """With two arguments ask a node; with more be one."""
    port, *others = sys.argv[1:]
    if len(others) == 1:
        print(json.dumps(ask(int(port), json.loads(others[0]), timeout_s=600.0)))
    else:
        _serve(int(port), *others)


def ask(port: int, question: Told, timeout_s: float = 2.0) -> Told:
    """The node's answer; empty if it gives none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout_s) as connection:
            connection.sendall(json.dumps(question).encode() + b"\n")
            answer: Told = json.loads(connection.makefile().readline())
            return answer
    except (OSError, ValueError):
        return {}


def _serve(port: int, journal: str, own: str, *peers: str) -> None:
    from pysyncobj import SyncObj, SyncObjConf  # noqa: PLC0415 - only a node needs to have it
    from pysyncobj.batteries import ReplDict  # noqa: PLC0415

    store = ReplDict()
    # Its batching of appends waits for a timer: a seventh of the puts (606/s, else 4,546/s).
    configured = SyncObjConf(appendEntriesUseBatch=False, journalFile=journal)
    group = SyncObj(own, list(peers), conf=configured, consumers=[store])
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            connection, _ = server.accept()
            with connection, connection.makefile("rw") as lines:
                question = json.loads(lines.readline())
                leads = str(group._getLeader()) == own  # noqa: SLF001 - it has no other name
                answer = _drive(store, question["load"]) if "load" in question else {"leads": leads}
                lines.write(json.dumps(answer) + "\n")


def _drive(store: Any, load: Told) -> Line:  # noqa: ANN401 - the library has no types
    """Closed-loop puts: each answer sends the next one, on the library's own thread."""
    names = [f"key/{number:09}" for number in range(load["keys"])]
    random.Random(0).shuffle(names)
    keys, value = cycle(names), "v" * load["value_bytes"]
    spent: Counter[int] = Counter()
    over = threading.Semaphore(0)
    failed = begun = 0
    began = time.perf_counter()
    deadline = began + (load["seconds"] or float("inf"))

    def put() -> None:
        nonlocal begun
        sent = time.perf_counter()
        if sent >= deadline or begun == load["total"] > 0:
            over.release()
            return
        begun += 1
        store.set(next(keys), value, callback=lambda _, error: answered(sent, error))

    def answered(sent: float, error: int) -> None:
        nonlocal failed
        if error:
            failed += 1
        else:
            spent[int((time.perf_counter() - sent) * 1e6)] += 1
        put()

    for _ in range(load["clients"]):
        put()
    for _ in range(load["clients"]):
        over.acquire()
    return line_of(Measured(began, time.perf_counter(), 0.0, failed, [spent], 0.0))


if __name__ == "__main__":
    main()
