"""What the tests on real clusters share: clusters that end with their test, and leave no trace."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import Cluster

MakeCluster = Callable[..., Cluster]


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark of tests in which nodes are meant to end."""
    config.addinivalue_line("markers", "nodes_may_fail: a node that ends does not fail the test")


@pytest.fixture
def make_cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeCluster]:
    """Start a cluster of so many nodes with such settings; after it no node may have failed."""
    made: list[Cluster] = []

    def make(
        nodes: int = 3,
        *,
        start: bool = True,
        directory: Path = tmp_path,
        **settings: Any,  # noqa: ANN401 - of config.yaml
    ) -> Cluster:
        place = directory / f"cluster{len(made)}"
        place.mkdir()
        cluster = Cluster(place, nodes, **settings)
        made.append(cluster)
        if start:
            cluster.start()
        return cluster

    try:
        yield make
        failures = [found for cluster in made for found in cluster.failures()]
        if request.node.get_closest_marker("nodes_may_fail") is None:
            assert failures == []
        for cluster in made:
            cluster.close()
            cluster.forget()  # logs and configurations stay
    finally:
        for cluster in made:
            cluster.close()
