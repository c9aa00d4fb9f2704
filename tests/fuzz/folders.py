"""Target: a folder that serves as transport, and in which anything may lie."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from evanesce.errors import Reason
from evanesce.ports import ManualClock
from evanesce.transport.folder import FolderTransport
from tests.fuzz.choices import Choices
from tests.fuzz.oracle import Fault, Refused
from tests.fuzz.scenes import NOW


@cache
def _folder() -> Path:
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # memory is fastest
    made = tempfile.mkdtemp(prefix="evanesce-fuzz-", dir=base)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


def folder(data: bytes) -> Any:
    """A folder in which anything may lie: each look gives deliveries or a typed refusal."""
    choices = Choices(data)
    here = _folder()
    address, key = bytes(range(32)), bytes(range(16))
    clock = ManualClock(NOW)
    transport = FolderTransport(here, clock)
    transport._open(address, b"c" * 16)
    box = here / "mailboxes" / address.hex()
    with transport._enter("mailboxes", address) as directory:
        assert directory is not None
        shelf = transport._box(directory)
        shelf.put(key, choices.take(choices.number(64)))
    record = (box / key.hex()).read_bytes()
    made = []
    for _ in range(choices.number(4) + 1):
        own = key.hex()
        name = choices.of((own, own + ".spent", "capability", bytes(16).hex(), "KEY", own.upper(),
                           ".tmp", own + ".spent.spent"))  # fmt: skip
        path = box / name
        kind = choices.number(5)
        if path.is_dir() and not path.is_symlink():
            continue
        if kind == 4:
            path.unlink(missing_ok=True)
            path.symlink_to(choices.of(("/etc/hostname", "capability", ".", "nowhere")))
        elif kind == 3 and not os.path.lexists(path):
            path.mkdir()
        else:
            at = choices.number(len(record) + 1)
            path.unlink(missing_ok=True)
            path.write_bytes(record[:at] + choices.take(choices.number(8)) + record[at + 1 :])
            os.utime(path, (NOW + choices.of((0, 7_300, -400_000, 10**7)),) * 2)
        made.append(path)
    try:
        found = transport._look([address], must_exist=False)
        for item in found:
            if item.address != address or len(item.id) != 48:
                raise Fault("a delivery of another mailbox")
        transport._ack([item.id for item in found])
        in_the_way = any(path.is_dir() and not path.is_symlink() for path in box.iterdir())
        if not in_the_way and transport._look([address], must_exist=False):
            raise Fault("what was acked is delivered again")
        return found or Refused(Reason.UNKNOWN_MESSAGE)
    finally:
        shutil.rmtree(box, ignore_errors=True)
