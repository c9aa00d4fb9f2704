"""One device in one process at a time, and what was open when it was killed does not come back."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from evanesce import Card, LocalError, Reason, SqliteStore
from tests.kill.kill_support import Worker
from tests.kill.points import read_journal
from tests.kill.scenarios import NOW
from tests.kill.worker import KEY, Session
from tests.store.store_support import sealed_row, survivors


def session(actor: str, number: int, *acts: tuple[Any, ...]) -> Session:
    return Session(actor, number, NOW + number, acts)


def run(root: Path, lived: Session) -> None:
    """Let a device live through it, to the end."""
    end, errors = Worker(root, lived).end()
    assert end == 0, errors


def test_a_home_has_one_process_and_after_its_death_another(tmp_path: Path) -> None:
    run(tmp_path, session("Junho", 0, ("card",)))
    first = Worker(tmp_path, session("Mina", 1, ("card",), ("hold",)))
    try:
        assert first.hear() == "holding"
        before = Card.decode((tmp_path / "cards" / "Mina").read_bytes()).identity
        end, errors = Worker(tmp_path, session("Mina", 2, ("card",))).end()
        assert end == 1
        assert "store-busy" in errors, errors
        with pytest.raises(LocalError) as caught:
            SqliteStore(tmp_path / "stores" / "Mina" / "device.db", KEY)
        assert caught.value.reason is Reason.STORE_BUSY
        assert first.process.poll() is None, "the first has been disturbed"
    finally:
        first.kill()
    assert first.process.returncode == -signal.SIGKILL
    run(tmp_path, session("Mina", 3, ("card",), ("direct", "Junho"),
                          ("send", "direct", "still here", None)))  # fmt: skip
    assert Card.decode((tmp_path / "cards" / "Mina").read_bytes()).identity == before
    run(tmp_path, session("Junho", 4, ("catch up",), ("view",)))
    viewed = [n for n in read_journal(tmp_path / "journal" / "Junho.jsonl") if "text" in n]
    assert [n["text"] for n in viewed] == ["still here"]


def row(home: Path, message: str, copy: Path) -> bytes:
    """What lies in the files for a message; looked up in a copy, so that nothing is disturbed."""
    shutil.copytree(home, copy)
    with SqliteStore(copy / "device.db", KEY) as store:
        return sealed_row(store, b"inbox/" + bytes.fromhex(message))


class KilledWhileOpen:
    """A device that died while a message was open that goes on closing."""

    def __init__(self, tmp_path: Path, moment: str) -> None:
        self.root = root = tmp_path / "world"
        self.home = root / "stores" / "Junho"
        run(root, session("Junho", 0, ("card",)))
        run(root, session("Mina", 1, ("card",), ("direct", "Junho"), ("send", "direct", "once", 0)))
        run(root, session("Junho", 2, ("catch up",)))
        run(root, session("Mina", 3, ("send", "direct", "stays", None)))
        killed = Worker(root, session("Junho", 4, ("catch up",), ("view",)), (moment, 1))
        assert killed.end()[0] == -signal.SIGKILL
        self._before = self._journal()
        (self.message,) = [n["message"] for n in self._before if n["what"] == "opening"]
        shown = [n["text"] for n in self._before if n["what"] == "viewed"]
        assert shown == ([] if moment == "shown, before" else ["once"])
        self._row = row(self.home, self.message, tmp_path / "copy")
        assert self.survivors(), "it was never in the files"

    def _journal(self) -> list[dict[str, Any]]:
        return read_journal(self.root / "journal" / "Junho.jsonl")

    def survivors(self) -> list[str]:
        """The files of the store in which anything is left of its sealed row."""
        return survivors(self.home, [self._row])

    def check_gone(self) -> None:
        """Assert that it could not be opened again, and that the other message could."""
        after = self._journal()[len(self._before) :]
        assert [n["text"] for n in after if n["what"] == "viewed"] == ["stays"]
        assert [n["message"] for n in after if n["what"] == "gone"] == [self.message]


MOMENTS = ["shown, before", "shown, after"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_was_open_when_the_device_was_killed_does_not_come_back(
    tmp_path: Path, moment: str
) -> None:
    """REQ-EVAP-06, REQ-EVAP-07."""
    killed = KilledWhileOpen(tmp_path, moment)
    run(killed.root, session("Junho", 5, ("show", killed.message), ("view",)))
    killed.check_gone()
    assert killed.survivors() == [], "it is in the files even of a store that has been closed"


@pytest.mark.parametrize("moment", MOMENTS)
def test_its_row_is_in_no_file_once_the_device_is_open_again(tmp_path: Path, moment: str) -> None:
    """REQ-EVAP-07, REQ-APP-02: a device may be open for months."""
    killed = KilledWhileOpen(tmp_path, moment)
    again = Worker(
        killed.root, session("Junho", 5, ("show", killed.message), ("view",), ("hold",))
    )
    try:
        assert again.hear() == "holding"
        deadline = time.monotonic() + 3
        while killed.survivors() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert killed.survivors() == []
    finally:
        again.kill()
    killed.check_gone()
