"""Clerks of whole nodes: real brains (kv/routing.py) that ask for things at random times.

One that restarts forgets everything, as a user's process that dies: what it had asked may happen.
"""

from collections import deque
from math import ceil
from random import Random

from kv.outcomes import NEVER, Ok, Settled
from kv.readcalls import ReadCall
from kv.routing import Router
from messages.client import (
    APPEND,
    LEASE,
    LINEARIZABLE,
    PUT,
    STALE,
    ClientReply,
    OpenSession,
    Operation,
    Reads,
    Values,
    Wrote,
)
from messages.clientcodec import decode_reply, encode
from verify.calls import Call, Calls
from verify.linearizable import Kind
from verify.node import Ground, endpoints
from verify.swarm import units_until

UNITS_PER_S = 100_000


class Clerk:
    """One clerk, life after life."""

    def __init__(self, ground: Ground, calls: Calls, number: int) -> None:
        self.number = number
        self.is_paused = False
        self.is_reader = ground.timeline.random.random() < ground.plan.readers
        self._ground = ground
        self._calls = calls
        self._timeline = ground.timeline
        self._nodes = endpoints(range(1, ground.timeline.swarm.voters + 1))
        self._numbers = {endpoint: node for node, endpoint in self._nodes.items()}
        self._life = 0
        self._turn_due = False
        self._alarm = 0
        self._written = 0
        self._floors: dict[int, int] = {}  # what was told of when a question was asked
        self._opened_at = deque[int](
            maxlen=2
        )  # when it asked for sessions; empty once a line broke
        self._begin()

    def __str__(self) -> str:
        waiting = "waits" if self._router.has_work else "rests"
        return f"{self.name} {waiting}, paused" if self.is_paused else f"{self.name} {waiting}"

    @property
    def has_work(self) -> bool:
        """Whether it waits for any answer."""
        return self._router.has_work

    def restart(self, *, in_order: bool) -> None:
        """Its process ends, in order or by a kill, and another one begins."""
        if in_order:
            self._settle(self._router.close())
        self._calls.abandon(self.name)
        self._begin()

    def pause(self) -> None:
        """Stand still; the clock does not."""
        self.is_paused = True

    def resume(self) -> None:
        """Go on."""
        self.is_paused = False
        self._wake()

    def ask(self, kind: Kind, key: bytes, level: int = LINEARIZABLE) -> Call:
        """Ask for something new."""
        plan, random = self._ground.plan, self._timeline.random
        value = b""
        if kind is not Kind.GET:
            self._written += 1
            padding = b"." * random.randint(0, plan.padding)
            value = b"%s:%d%s " % (self.name.encode(), self._written, padding)
        call = self._calls.begin(self.name, kind, key, value, stale=level == STALE)
        self._timeline.note(0, "asks:", call)
        deadline = self._now() + random.choice(plan.deadlines_s)
        if kind is Kind.GET:
            self._router.read(level, ReadCall(call, key, deadline, b""))
        else:
            operation = Operation(PUT if kind is Kind.PUT else APPEND, key, value)
            self._router.write(call, operation, deadline)
        self._wake()
        return call

    def on_frame(self, name: str, node: int, frame: bytes) -> None:
        """A node said something to that life of the clerk."""
        if name == self.name:
            reply = decode_reply(frame)
            self._timeline.note(0, f"{name} <- S{node}", reply)
            self._check_age(reply)
            self._router.on_reply(self._nodes[node], reply, self._now())
            self._wake()

    def on_absent(self, name: str, node: int) -> None:
        """There is no connection to that node now."""
        if name == self.name:
            self._opened_at.clear()
            self._router.on_unreachable(self._nodes[node], self._now())
            self._wake()

    def _begin(self) -> None:
        self._life += 1
        self.name = f"C{self.number}.{self._life}"
        random = Random(self._timeline.random.getrandbits(32))
        self._router = Router(self._nodes.values(), random, self._now())
        self._opened_at.clear()

    def _now(self) -> float:
        return self._timeline.now / UNITS_PER_S

    def _wake(self) -> None:
        if not self._turn_due:
            self._turn_due = True
            self._timeline.after(self._timeline.swarm.turn_units, self._turn)

    def _on_alarm(self, number: object) -> None:
        if number == self._alarm:
            self._turn(None)

    def _turn(self, _: object) -> None:
        """What the brain wants sent, and when it wants to be asked again."""
        self._turn_due = False
        if self.is_paused:
            return
        requests, settled = self._router.turn(self._now())
        for endpoint, request in requests:
            node = self._numbers[endpoint]
            self._timeline.note(0, f"{self.name} -> S{node}", request)
            if isinstance(request, Reads) and request.level != STALE:
                self._floors[request.request_id] = self._calls.acknowledged_index
            elif isinstance(request, OpenSession):
                self._check_haste()
            self._ground.lines.to_node(self.name, node, encode(request))
        self._settle(settled)
        self._alarm += 1
        due = self._router.due(self._now())
        if due != NEVER:
            units = max(1, ceil((due - self._now()) * UNITS_PER_S))
            self._timeline.after(units, self._on_alarm, self._alarm)

    def _check_age(self, reply: ClientReply) -> None:
        """R4: a read sees all that any clerk was told of when it was asked, whatever its key."""
        calls = self._calls
        if isinstance(reply, Wrote):
            calls.acknowledged_index = max(calls.acknowledged_index, reply.applied_index)
        elif isinstance(reply, Values):
            floor = self._floors.get(reply.request_id, 0)
            old = f"read: answered from {reply.applied_index}, though {floor} was told of"
            assert reply.applied_index >= floor, old

    def _check_haste(self) -> None:
        """Sessions are bounded: of three, the first is asked for a round trip before the last.

        One may be asked for late, and the refusal of an earlier question lead to the next at once.
        """
        now, round_trip = self._timeline.now, 2 * self._timeline.swarm.delay_units
        self._timeline.facts["sessions asked for"] += 1
        asked = self._opened_at
        is_patient = len(asked) < 2 or now - asked[0] >= round_trip
        assert is_patient, f"sessions: {self.name} asks for a third before the first can be there"
        asked.append(now)

    def _settle(self, settled: list[Settled]) -> None:
        for call, outcome in settled:
            assert isinstance(call, Call)
            self._calls.settle(call, outcome)
            self._timeline.note(0, f"{call} ends:", outcome)


class Clerks:
    """All clerks of a world, and what they wish."""

    def __init__(self, ground: Ground, calls: Calls, keys: list[bytes]) -> None:
        self.all = [Clerk(ground, calls, number + 1) for number in range(ground.plan.clerks)]
        self._ground = ground
        self._keys = keys
        self._timeline = ground.timeline
        self._random = ground.timeline.random
        self._left = ground.plan.calls_max
        self._stopped = False
        for clerk in self.all:
            ground.lines.clerks[clerk.number] = clerk

    def start(self) -> None:
        """From now on there are wishes."""
        for clerk in self.all:
            self._timeline.after(self._until_next(), self._wish, clerk)

    def stop(self) -> None:
        """No further wish comes by itself."""
        self._stopped = True

    def pick(self) -> Clerk:
        """Any one."""
        return self._random.choice(self.all)

    def ask_everything(self) -> list[Call]:
        """Have each clerk write, and read, every key."""
        kinds = (Kind.APPEND, Kind.PUT, Kind.APPEND, Kind.GET)
        return [clerk.ask(kind, key) for clerk in self.all for key in self._keys for kind in kinds]

    def _wish(self, clerk: object) -> None:
        assert isinstance(clerk, Clerk)
        if self._stopped or not self._left:
            return
        count = min(self._left, self._random.randint(1, self._ground.plan.burst_max))
        self._left -= count
        for _ in range(count):
            kind = Kind.GET if clerk.is_reader else self._kind()
            level = self._level() if kind is Kind.GET else LINEARIZABLE
            clerk.ask(kind, self._random.choice(self._keys), level)
        self._timeline.after(self._until_next(), self._wish, clerk)

    def _kind(self) -> Kind:
        plan, random = self._ground.plan, self._random.random
        if random() < plan.reads:
            return Kind.GET
        return Kind.APPEND if random() < plan.appends else Kind.PUT

    def _level(self) -> int:
        return self._random.choice((LINEARIZABLE, LINEARIZABLE, LINEARIZABLE, LEASE, STALE))

    def _until_next(self) -> int:
        return units_until(self._random, self._ground.plan.wish_ticks)


def is_done(call: Call) -> bool:
    """Whether what was asked was done."""
    return isinstance(call.outcome, Ok)
