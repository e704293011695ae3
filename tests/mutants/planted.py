"""All planted bugs, in the order of the table."""

from tests.mutants import (
    durability,
    elections,
    membership,
    reads,
    replication,
    snapshots,
    wire,
)

MUTANTS = (
    *durability.MUTANTS,
    *elections.MUTANTS,
    *replication.MUTANTS,
    *membership.MUTANTS,
    *reads.MUTANTS,
    *snapshots.MUTANTS,
    *wire.MUTANTS,
)
