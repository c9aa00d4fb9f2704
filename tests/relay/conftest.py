"""What tests of the relay share: one NATS cluster for the whole run, made when first asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import pytest

from tests.relay.nats_cluster import NatsCluster

# Minutes of work: EVANESCE_PROFILE=long.
collect_ignore: Final = (
    [] if os.environ.get("EVANESCE_PROFILE") == "long" else ["test_telling_relays.py"]
)


@pytest.fixture(scope="session")
def nats_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """Three servers, encrypted and synced. Tests use prefixes of their own, and kill nothing."""
    with NatsCluster(tmp_path_factory.mktemp("nats")) as cluster:
        yield cluster
