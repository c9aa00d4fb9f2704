"""Reads the header record of a store without SQLite, which cannot open a file and leave it alone.

SQLite would make or replay a journal before the key is known. The header is small and lies alone on
page 2, so its newest committed version is found by hand: in the write-ahead log if a crash has left
one that holds this page, else in the database (sqlite.org/fileformat2.html).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from ..errors import Reason, StorageError
from .format import APPLICATION_ID, PAGE_BYTES

__all__ = ["peek_header"]

_MAGIC: Final = b"SQLite format 3\x00"
_HEADER_PAGE: Final = 2
_LOG_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}  # and the byte order of its checksums
_LOG_HEAD: Final = 32
_FRAME_HEAD: Final = 24
_LEAF: Final = 0x0D


def _bad(detail: str) -> StorageError:
    return StorageError(Reason.BAD_STORE, detail)


def peek_header(path: Path) -> bytes:
    """The newest committed header record. Raise `StorageError` (bad-store)."""
    with path.open("rb") as file:
        head = file.read(100)
        file.seek((_HEADER_PAGE - 1) * PAGE_BYTES)
        page = file.read(PAGE_BYTES)
    if len(head) < 100 or not head.startswith(_MAGIC):
        raise _bad("this file is not a database")
    if int.from_bytes(head[68:72], "big") != APPLICATION_ID:
        raise _bad("this is a database of something else")
    if int.from_bytes(head[16:18], "big") != PAGE_BYTES:
        raise _bad("a database with another page size")
    log = Path(f"{path}-wal")
    return _only_blob(_newest_in_log(log) or page)


def _newest_in_log(log: Path) -> bytes | None:
    """The page of the header, as the last committed transaction in a log left it."""
    try:
        file = log.open("rb")
    except FileNotFoundError:
        return None
    with file:
        head = file.read(_LOG_HEAD)
        order = _LOG_MAGIC.get(int.from_bytes(head[:4], "big"))
        if len(head) < _LOG_HEAD or order is None:
            return None
        if int.from_bytes(head[8:12], "big") != PAGE_BYTES:
            return None
        checks = _checksum(order, head[:24], (0, 0))
        if checks != struct.unpack(">II", head[24:32]):
            return None
        newest = pending = None
        while len(frame := file.read(_FRAME_HEAD + PAGE_BYTES)) == _FRAME_HEAD + PAGE_BYTES:
            if frame[8:16] != head[16:24]:  # a frame from before the log was begun anew
                break
            checks = _checksum(order, frame[:8], checks)
            checks = _checksum(order, frame[_FRAME_HEAD:], checks)
            if checks != struct.unpack(">II", frame[16:24]):
                break
            number, committed = struct.unpack(">II", frame[:8])
            if number == _HEADER_PAGE:
                pending = frame[_FRAME_HEAD:]
            if committed:
                newest = pending
        return newest


def _checksum(order: str, data: bytes, start: tuple[int, int]) -> tuple[int, int]:
    """The running checksum of a log."""
    a, b = start
    for x, y in struct.iter_unpack(f"{order}II", data):
        a = (a + x + b) & 0xFFFFFFFF
        b = (b + y + a) & 0xFFFFFFFF
    return a, b


def _only_blob(page: bytes) -> bytes:
    """The blob in the one row ``(id, blob)`` of a table that fits its page."""
    if len(page) != PAGE_BYTES or page[0] != _LEAF or page[3:5] != b"\x00\x01":
        raise _bad("the header is damaged")
    try:
        size, at = _varint(page, int.from_bytes(page[8:10], "big"))
        _, at = _varint(page, at)  # the id of the row
        end = at + size
        head_size, fields = _varint(page, at)
        _, fields = _varint(page, fields)  # the column `id` stands for the id of the row
        kind, _ = _varint(page, fields)
    except IndexError:
        raise _bad("the header is damaged") from None
    blob = page[at + head_size : end]
    if end > PAGE_BYTES or kind < 12 or kind % 2 or len(blob) != (kind - 12) // 2:
        raise _bad("the header is damaged")
    return blob


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of SQLite's, of up to eight bytes, and where it ends."""
    value = 0
    for _ in range(8):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, at
