"""Faults that are put into the package on purpose, one at a time: the checks have to see each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from evanesce import inbox, message, pins, receipts, repairing, resyncing
from evanesce.ports import Transaction
from evanesce.store import database

__all__ = ["FLAWS", "put_in"]


def _salt() -> None:
    """What a message key seals does not depend on anything fresh."""
    message.__dict__["message_salt"] = lambda message_key, fresh, padded: bytes(16)


def _keeps() -> None:
    """What is erased stays."""
    setattr(inbox.Inbox, "erase", lambda self, tx, message: None)  # noqa: B010


def _log() -> None:
    """What has been erased stays in the store's log."""
    setattr(database.Database, "empty_log", lambda self: None)  # noqa: B010


def _receipts() -> None:
    """A receipt that has been sent is due again."""
    setattr(receipts.Receipts, "sent", lambda self, tx, room, batch: None)  # noqa: B010


def _offers() -> None:
    """An identity that is offered is not written down."""
    real = pins.Pins._put

    def put(self: pins.Pins, tx: Transaction, pin: pins.Pin) -> pins.Pin:
        return real(self, _Deaf() if pin.offered else tx, pin)

    setattr(pins.Pins, "_put", put)  # noqa: B010


class _Deaf:
    """A transaction that writes nothing."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments: None


def _repair() -> None:
    """Who asks for a commit gets none."""
    repairing.__dict__["resend_copies"] = lambda *arguments: None


def _resync() -> None:
    """The invitation that lets a device in anew is not known for what it is."""
    resyncing.__dict__["is_answer"] = lambda *arguments: False


FLAWS: Final[dict[str, Callable[[], None]]] = {
    "salt": _salt, "keeps": _keeps, "log": _log, "receipts": _receipts, "offers": _offers,
    "repair": _repair, "resync": _resync,
}  # fmt: skip


def put_in(names: tuple[str, ...]) -> None:
    """Put these into this process, and so into all that it forks. Others are the director's."""
    for name in names:
        if name in FLAWS:
            FLAWS[name]()
