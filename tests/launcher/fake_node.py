"""A node without Raft: says what a file beside its data tells it to, to test who starts nodes.

Files in the data directory: NAME.does holds "refuse SENTENCE", "die", "ignore SIGTERM" or "deaf";
leads holds "ID TERM" of whoever is the leader, node 1 in term 1 without it.
"""

import os
import signal
import threading
from pathlib import Path

import zmq

from actors.config import Config
from actors.log import Log
from messages.client import AskStatus, OpenSession, SessionOpened, Status
from messages.clientcodec import decode_request, encode


def run(config: Config, name: str, data: Path) -> int:
    """What actors.node.run does, as far as a launcher can see."""
    address, does = config.node(name), read(data / f"{name}.does")
    stopping = threading.Event()
    if does == "ignore SIGTERM":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    log = Log(name, config.log_level, config.log_format)
    log.event("starting")
    if does.startswith("refuse"):
        log.event("refused", "error", reason=does[7:])
        return 2
    if does == "die":
        return 1
    (data / name).mkdir(parents=True, exist_ok=True)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.setsockopt(zmq.LINGER, 0)
        router.bind(f"tcp://{address.client}")
        while not stopping.is_set():
            if router.poll(20) and does != "deaf":
                sender, frame = router.recv_multipart()
                reply = answer(config, name, data, decode_request(frame))
                router.send_multipart([sender, encode(reply)])
    return 0


def answer(config, name, data, request):
    """The reply to a request that launchers make."""
    if isinstance(request, OpenSession):
        return SessionOpened(request.request_id, 1)
    assert isinstance(request, AskStatus)
    leader, term = map(int, (read(data / "leads") or "1 1").split())
    node = config.node(name).node_id
    role = "leader" if node == leader else "follower"
    head = (request.request_id, config.cluster, node, name, role, leader, term)
    return Status(*head, 4, 3, 5, 0, 100, os.getpid())


def read(file: Path) -> str:
    """What it says, nothing if it is not there."""
    return file.read_text() if file.exists() else ""
