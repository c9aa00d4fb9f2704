"""Suites by which anyone can check a store or a transport of their own (spec 17).

::

    from evanesce.testing import check_store

    def test_my_store() -> None:
        check_store(lambda path: MyStore(path))

`testing.transport` shows the same for a transport, `testing.relay_store` for a store of a relay.
"""

from .relay_store import RELAY_STORE_CHECKS, check_relay_store
from .store import check_store
from .transport import TRANSPORT_CHECKS, Claims, check_transport
from .unreliable import Unreliable

__all__ = [
    "RELAY_STORE_CHECKS",
    "TRANSPORT_CHECKS",
    "Claims",
    "Unreliable",
    "check_relay_store",
    "check_store",
    "check_transport",
]
