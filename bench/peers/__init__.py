"""Other stores, to compare with: how each is found, started and driven."""
