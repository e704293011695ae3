"""Bugs planted on purpose: each must be caught, or the tests prove less than they say."""
