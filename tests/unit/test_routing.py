"""The clerk's brain against real servers in a world that goes wrong."""

import pytest

from tests.unit.clerkworld import World, check


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_no_outcome_is_wrong(seed):
    """C1, C2: acknowledged is executed once and in order, failed is never executed."""
    world = World(seed)
    for step in range(600):
        world.chance()
        if step < 400:
            for clerk in range(len(world.clerks)):
                if world.random.random() < 0.3:
                    world.write(clerk, world.random.choice((0.1, 1.0, 10.0)))
                if world.random.random() < 0.1:
                    world.read(clerk, world.random.choice((0.1, 1.0, 10.0)))
        world.step()
    world.heal()
    for _ in range(2_500):
        world.group.commit(100)
        world.step()

    for router in world.clerks:
        world.settle(router.close())
    assert set(world.outcomes) == set(world.tokens)
    check(world)


@pytest.mark.parametrize("seed", range(20))
def test_when_all_is_well_again_every_call_is_done(seed):
    """Patient calls end well, however bad it was before."""
    world = World(seed)
    for step in range(300):
        world.chance()
        if step < 100:
            world.write(0, 1_000.0)
            world.read(1, 1_000.0)
        world.step()
    world.heal()
    for _ in range(2_500):
        world.group.commit(100)
        world.step()

    assert set(world.outcomes) == set(world.tokens)
    check(world)
