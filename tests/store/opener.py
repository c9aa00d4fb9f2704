"""A program: opens the store it is told, and does what each line of its input says."""

import os
import signal
import sqlite3
import sys
from dataclasses import replace

from evanesce import EvanesceError, RawKey, SqliteStore
from evanesce.store.format import CURRENT, Layout
from evanesce.store.sealing import Subkeys

KEY = RawKey(bytes(range(32)))


def die() -> None:
    """End as by a power cut, as far as a process can."""
    os.kill(os.getpid(), signal.SIGKILL)


def half_a_migration(connection: sqlite3.Connection, subkeys: Subkeys) -> None:
    """Change the tables, make SQLite write that down, and die."""
    connection.execute("CREATE TABLE extra (id INTEGER PRIMARY KEY)")
    connection.execute("DELETE FROM records")
    connection.execute("PRAGMA cache_size=1")
    connection.execute("PRAGMA cache_spill=1")
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) "
        "INSERT INTO records SELECT i, zeroblob(200), zeroblob(24), zeroblob(900) FROM n"
    )
    die()


def obey(store: SqliteStore, order: str, arguments: list[str]) -> str:
    """Do one thing; return what there is to say."""
    match order, arguments:
        case "put", [name, data]:
            with store.transaction() as tx:
                tx.put(name.encode(), data.encode())
        case "drop", [name]:
            with store.transaction() as tx:
                tx.delete(name.encode())
        case "get", [name]:
            with store.transaction() as tx:
                return (tx.get(name.encode()) or b"").decode()
        case "linger", []:  # inside a transaction, until the next line
            with store.transaction():
                print("inside", flush=True)
                sys.stdin.readline()
        case "scrub", []:
            store.scrub()
        case "close", []:
            store.close()
        case "die", []:
            die()
    return "done"


def main() -> None:
    """Open, and obey."""
    path, *options = sys.argv[1:]
    if "half-migration" in options:
        layout: Layout = replace(CURRENT, version=2, migrations={1: half_a_migration})
        SqliteStore._layout = layout
    try:
        store = SqliteStore(path, KEY, takeover="takeover" in options)
    except EvanesceError as error:
        print(type(error).__name__, error.reason, flush=True)
        return
    print("open", flush=True)
    for line in sys.stdin:
        order, *arguments = line.split()
        try:
            print(obey(store, order, arguments), flush=True)
        except EvanesceError as error:
            print(type(error).__name__, error.reason, flush=True)


main()
