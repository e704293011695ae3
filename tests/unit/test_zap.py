"""actors/zap.py: who may connect, and what becomes of an answer that nobody waits for."""

import time

import pytest
import zmq

from actors.actor import send
from actors.sockets import ZAP_DOMAIN, ZAP_ENDPOINT
from actors.zap import OK, REFUSED, ZapActor

DEADLINE_S = 30.0


@pytest.fixture
def context():
    """Where the handler and those it is asked about meet."""
    with zmq.Context() as made:
        yield made


@pytest.fixture
def zap(context):
    """The handler."""
    made = ZapActor(context)
    yield made
    made.close()


def question(domain=ZAP_DOMAIN):
    """What libzmq asks of each connection (RFC 27)."""
    return [b"", b"1.0", b"7", domain, b"127.0.0.1", b"", b"NULL"]


def ask(context, zap, domain):
    """A connection asks, and is answered: the code."""
    (questions, answer), *_ = zap.sockets().items()
    with context.socket(zmq.DEALER) as asker:
        asker.connect(ZAP_ENDPOINT)
        asker.send_multipart(question(domain))
        answer(questions.recv_multipart())
        _, _, request_id, code, *_ = asker.recv_multipart()
    assert request_id == b"7"
    return code


def test_our_ports_let_everybody_in_and_no_others_exist(context, zap):
    """Another domain than ours is no port of this node."""
    assert ask(context, zap, ZAP_DOMAIN) == OK
    assert ask(context, zap, b"another") == REFUSED


def test_a_connection_that_was_cut_while_it_was_asked_about_is_no_error(context, zap):
    """Anyone who hangs up at the right moment would else end the node (O5)."""
    (questions, answer), *_ = zap.sockets().items()
    with context.socket(zmq.DEALER) as asker:
        asker.connect(ZAP_ENDPOINT)
        asker.send_multipart(question())
        asked = questions.recv_multipart()
    deadline = time.monotonic() + DEADLINE_S
    while send(questions, [asked[0], b"still there?"]):
        assert time.monotonic() < deadline, "it is never noticed"

    answer(asked)
