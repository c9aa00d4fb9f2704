"""Suites by which anyone can check a store or a transport of their own (spec 17).

::

    from evanesce.testing import check_store

    def test_my_store() -> None:
        check_store(lambda path: MyStore(path))

`testing.transport` shows the same for a transport.
"""

from .store import check_store
from .transport import TRANSPORT_CHECKS, Claims, check_transport
from .unreliable import Unreliable

__all__ = ["TRANSPORT_CHECKS", "Claims", "Unreliable", "check_store", "check_transport"]
