"""The frozen store of format 1: what it holds, its key, and how it was made.

``format-1.db`` is never made again: every later version has to open this very file. It was made by
`make`, with a few records overwritten and deleted on the way.
"""

from pathlib import Path

from evanesce import RawKey, SqliteStore

FILE = Path(__file__).with_name("format-1.db")
KEY = RawKey(bytes(range(100, 132)))
CONTENTS = {
    b"device": b"a device",
    b"app/settings": "설정".encode(),
    b"empty": b"",
    b"\x00": b"\x80\x00",
    b"\xff" * 200: b"a long name",
    **{b"inbox/%d" % i: b"message %d " % i * (i * 20) for i in range(8)},
    b"large": bytes(i * i % 251 for i in range(20_000)),
}


def make(path: Path) -> None:
    """Make such a store."""
    with SqliteStore(path, KEY) as store:
        with store.transaction() as tx:
            for name, data in CONTENTS.items():
                tx.put(name, data[::-1])
            tx.put(b"deleted", bytes(1_000))
        with store.transaction() as tx:
            for name, data in CONTENTS.items():
                tx.put(name, data)
            tx.delete(b"deleted")
