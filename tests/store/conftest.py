"""Stores of tests lie in memory where the system has such a folder: they flush often.

What the tests look at is the same there: bytes of files, processes that die, locks.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture(autouse=True)
def tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the test's own; also where `tempfile` makes its folders."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="evanesce-", dir=MEMORY))
    monkeypatch.setattr(tempfile, "tempdir", str(folder.parent))
    yield folder
    shutil.rmtree(folder)
