"""One small cluster for all tests that do not hurt it."""

import pytest

from kvorum import Clerk, Cluster


@pytest.fixture(scope="package")
def cluster():
    """One node: everything but failover works on it, and it starts quickly."""
    with Cluster(nodes=1) as made:
        yield made


@pytest.fixture
def clerk(cluster: Cluster):
    """A clerk of that cluster; patient, as the machine may be busy."""
    with Clerk(cluster.endpoints, timeout=30) as made:
        yield made
