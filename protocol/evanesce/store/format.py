"""The format of an encrypted store, and how a store of an older one is brought up to it.

A new format is a new `Layout`: its schema, and one more migration. Migrations run at opening, all
in one transaction together with the new version in the header: a crash leaves the old store.
Every format so far, frozen in a file, is opened by the tests.

The table `header` is always the first, with one row on page 2, which `peek` reads without SQLite.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from .sealing import Subkeys

__all__ = ["APPLICATION_ID", "CURRENT", "PAGE_BYTES", "Layout", "Migration"]

APPLICATION_ID: Final = 0x45564E53  # "EVNS"
PAGE_BYTES: Final = 4_096

# Brings the tables from the version it is listed under to the next. It changes tables and rows, and
# leaves header and transaction alone.
Migration = Callable[[sqlite3.Connection, Subkeys], None]


@dataclass(frozen=True, slots=True)
class Layout:
    """A version of the format: the statements that make its tables, the ways from older ones."""

    version: int
    schema: tuple[str, ...]
    migrations: Mapping[int, Migration] = field(default_factory=dict)

    def migrate(self, connection: sqlite3.Connection, version: int, subkeys: Subkeys) -> None:
        """Bring a database of an older `version` up to this one."""
        for step in range(version, self.version):
            self.migrations[step](connection, subkeys)


CURRENT: Final = Layout(
    1,
    (
        "CREATE TABLE header (id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
        "CREATE TABLE state (id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
        "CREATE TABLE records (id INTEGER PRIMARY KEY, name BLOB NOT NULL, "
        "nonce BLOB NOT NULL, value BLOB NOT NULL)",
    ),
)
