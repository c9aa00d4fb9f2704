"""The store that an operator has chosen."""

from __future__ import annotations

import ssl

from .config import RelayConfig
from .nats_link import NatsCredentials
from .nats_promises import NatsPromises
from .nats_rows import NatsRows
from .rows import RelayStore
from .sqlite_rows import SqliteRows

__all__ = ["make_store"]


def make_store(config: RelayConfig, *, read_only: bool = False) -> RelayStore:
    """The store that was chosen, not started. Raise `LocalError` (bad-input); `OSError`.

    `read_only` opens SQLite beside a relay that runs; a NATS store is shared in any case.
    """
    if config.store == "sqlite":
        return SqliteRows(config.data_folder, read_only=read_only,
                          max_bytes=config.settings.store_bytes)  # fmt: skip
    scheme = config.store.partition("://")[0] + "://"
    # The scheme may stand before each, as in other software, or before the first only.
    hosts = [host.strip().removeprefix(scheme) for host in config.store.split(",")]
    return NatsRows(
        [scheme + host for host in hosts],
        promises=NatsPromises(
            monitors=[url.strip() for url in config.nats_monitors.split(",") if url.strip()],
            encrypted=config.nats_encrypted,
            synced=config.nats_synced,
        ),
        prefix=config.nats_prefix,
        streams=config.nats_streams,
        replicas=config.nats_replicas,
        max_bytes=config.settings.store_bytes,
        credentials=_credentials(config),
    )


def _credentials(config: RelayConfig) -> NatsCredentials:
    tls = None
    if config.nats_ca is not None:
        tls = ssl.create_default_context(cafile=config.nats_ca)
    elif config.store.startswith("tls://"):
        tls = ssl.create_default_context()
    return NatsCredentials(file=str(config.nats_creds) if config.nats_creds else None, tls=tls)
