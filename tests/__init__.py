"""The tests, by what they prove with: paper, scenarios, unit, simulation and style."""
