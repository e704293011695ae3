"""What is drawn for one seed: how large and fast the world is, and which faults it has.

Each fault is on or off for a whole seed, and so is each strength (swarm testing): a world with all
of them at once would seldom get anywhere, and some bugs need the quiet around one fault.
"""

from random import Random
from typing import NamedTuple

from raft.state import Config
from verify.transcript import TICK

LEASE_CLOCKS = {10: 4, 50: 20}
"""By Config.lease_drift_percent: how many percent a clock may be off, too fast or too slow, so that
no two of them differ by more than that where leases rely on it."""

SERVERS_MAX = 9
"""No more servers than this in one world, those among them that were removed or never took part."""


class Swarm(NamedTuple):
    """One seed's configuration; units are of simulated time, 1000 in a tick."""

    config: Config
    voters: int
    learners: int
    fault_ticks: int
    codec: bool  # messages travel as bytes
    # the network
    delay_units: int
    delay_spread_units: int
    straggler: float  # chance of a delay ten times the usual
    loss: float
    duplicate: float
    in_order: bool  # between two servers nothing overtakes
    corrupt: float  # chance that a chunk of a snapshot arrives changed
    crash_installing: float  # chance of a crash while a snapshot is being written
    # the servers
    turn_units: int  # how long a server gathers before it takes its turn
    write_units: int
    write_spread_units: int
    apply_units: int
    stage_units: int  # a chunk of a snapshot, or to verify all of it
    save_units: int  # of the state, in the background
    clock_percent: int  # how far a clock may be off
    chunk_bytes: int
    snapshot_padding: int
    payload_bytes: int
    # what strikes, and what clients wish: mean ticks between two of a kind
    strikes: dict[str, int]
    wishes: dict[str, int]


STRIKES = {
    "crash": (15, 40, 120),
    "crash_all": (150, 300),
    "pause": (20, 60, 150),
    "cut_link": (10, 40, 100),
    "cut_one_way": (10, 40, 100),
    "partition": (40, 100),
    "isolate_leader": (20, 60),
    "depose": (30, 60),
    "stall_disk": (20, 60),
    "clock": (50,),
    "abort_snapshot": (10, 40),
    "unreachable": (5, 30),
}
"""Every fault that comes and goes, and how many ticks may lie between two strikes."""

WISHES = {
    "read": (1, 3, 10),
    "transfer": (15, 50),
    "change": (10, 25, 60),
    "forget_leader": (20, 80),
    "save": (4, 15, 60),
}
"""What clients and operators may ask for, proposals apart."""


def draw(random: Random) -> Swarm:
    """The configuration of one seed."""
    config = _config(random)
    swarm = Swarm(
        config=config,
        voters=random.choice((3, 3, 3, 4, 5, 5, 5, 6, 7)),
        learners=random.choice((0, 0, 0, 1)),
        fault_ticks=random.choice((150, 300, 300, 450)),
        codec=random.random() < 0.15,
        delay_units=random.choice((20, 20, 100, 500)),
        delay_spread_units=random.choice((50, 100, 500, 2000, 8000)),
        straggler=_sometimes(random, 0.3, (0.001, 0.01, 0.1)),
        loss=_sometimes(random, 0.5, (0.01, 0.05, 0.2)),
        duplicate=_sometimes(random, 0.4, (0.01, 0.1, 0.3)),
        in_order=random.random() < 0.3,
        corrupt=_sometimes(random, 0.4, (0.02, 0.1)),
        crash_installing=_sometimes(random, 0.4, (0.1, 0.5)),
        turn_units=random.choice((0, 10, 100, 400)),
        write_units=random.choice((20, 100, 500)),
        write_spread_units=random.choice((20, 100, 1000, 5000)),
        apply_units=random.choice((0, 0, 0, 100, 2000)),
        stage_units=random.choice((0, 0, 300)),
        save_units=random.choice((10, 1000, 5000)),
        clock_percent=random.choice((0, 2, 10, 30)),
        chunk_bytes=random.choice((20, 60, 1000)),
        snapshot_padding=random.choice((0, 100, 300)),
        payload_bytes=random.choice((0, 0, 30, 200)),
        strikes=_some(random, STRIKES, 0.45),
        wishes=_some(random, WISHES, 0.75) | {"propose": random.choice((1, 1, 2, 5))},
    )
    return _for_leases(random, swarm) if config.lease_reads else swarm


def _for_leases(random: Random, swarm: Swarm) -> Swarm:
    """Keep clocks within the bound, and look hard: a lease that is wrong is so for a tick or two.

    Only a leader that is cut off can be wrong, if others elect one at once and that one commits.
    """
    return swarm._replace(
        delay_spread_units=random.choice((50, 50, 100, swarm.delay_spread_units)),
        turn_units=random.choice((0, 10, swarm.turn_units)),
        write_spread_units=random.choice((20, 20, swarm.write_spread_units)),
        clock_percent=LEASE_CLOCKS[swarm.config.lease_drift_percent],
        strikes=swarm.strikes | {"isolate_leader": 20},
        wishes=swarm.wishes | {"read": 1},
    )


def _config(random: Random) -> Config:
    """Small limits, so that every bound is met."""
    choice = random.choice
    election_ticks_min = choice((6, 10, 15, 15))
    check_quorum = random.random() < 0.75
    return Config(
        election_ticks_min=election_ticks_min,
        election_ticks_max=choice((election_ticks_min + 3, election_ticks_min * 2)),
        heartbeat_ticks=choice((1, 2, 3)),
        append_bytes_max=choice((1, 100, 1000, 1_048_576)),
        inflight_messages_max=choice((1, 2, 8, 64)),
        inflight_bytes_max=choice((1, 200, 8_388_608)),
        unapplied_bytes_max=choice((50, 500, 67_108_864)),
        apply_bytes_max=choice((1, 200, 4_194_304)),
        reads_max=choice((1, 4, 65_536)),
        snapshot_window_bytes=choice((1, 100, 4_194_304)),
        snapshot_retry_ticks=choice((3, 20)),
        log_trailing_entries=choice((0, 0, 5, 50)),
        log_behind_bytes_max=choice((1, 100, 1000, 134_217_728)),
        promote_lag_entries_max=choice((0, 3, 1000)),
        transfer_ticks_max=choice((5, 30)),
        disk_stall_ticks_max=choice((10, 30, 100)),
        pre_vote=random.random() < 0.8,
        check_quorum=check_quorum,
        lease_reads=check_quorum and random.random() < 0.4,
        lease_drift_percent=choice(tuple(LEASE_CLOCKS)),
    )


def _sometimes(random: Random, chance: float, strengths: tuple[float, ...]) -> float:
    return random.choice(strengths) if random.random() < chance else 0.0


def _some(random: Random, kinds: dict[str, tuple[int, ...]], chance: float) -> dict[str, int]:
    """Some of the kinds, each with its mean ticks between two."""
    return {kind: random.choice(ticks) for kind, ticks in kinds.items() if random.random() < chance}


def units_until(random: Random, mean_ticks: int) -> int:
    """How long until the next of what happens now and then."""
    return int(random.expovariate(1 / (mean_ticks * TICK))) + 1


def calmed(swarm: Swarm) -> Swarm:
    """The same world without its faults: nothing is lost, nothing is slow, clocks are fine."""
    return swarm._replace(
        delay_units=20,
        delay_spread_units=100,
        straggler=0.0,
        loss=0.0,
        duplicate=0.0,
        corrupt=0.0,
        crash_installing=0.0,
        write_units=20,
        write_spread_units=100,
        apply_units=min(swarm.apply_units, 100),
        save_units=10,
        clock_percent=min(swarm.clock_percent, 2),
        strikes={},
        wishes={},
    )
