"""What tests of the relay share: one NATS cluster for the whole run, made when first asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.relay.nats_cluster import NatsCluster


@pytest.fixture(scope="session")
def nats_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """Three servers, encrypted and synced. Tests use prefixes of their own, and kill nothing."""
    with NatsCluster(tmp_path_factory.mktemp("nats")) as cluster:
        yield cluster
