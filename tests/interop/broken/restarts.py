"""Mistakes that show after a restart (REQ-DEL)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evanesce import kept_epoch
from evanesce.state import RoomState

from .flaw import Patch, flaw


@flaw(
    "restart-forgets-skipped",
    "session-signed-skipped-expiry-bob-restarts",
    "session-signed-reordered-bob-restarts",
)
def _(patch: Patch) -> None:
    """Writes chain key and index, and keeps the skipped keys in memory only."""
    honest = kept_epoch.dump_chain
    patch.everywhere(honest, lambda chain: honest(replace(chain, skipped={})))


@flaw(
    "restart-forgets-old-epochs",
    "session-direct-turns-ann-restarts",
    "session-direct-turns-bob-restarts",
)
def _(patch: Patch) -> None:
    """Reads only the current epoch again."""
    honest = RoomState.load

    def load(records: Any) -> RoomState:
        made = honest(records)
        made.epochs = {made.current: made.epochs[made.current]}
        return made

    patch.here(RoomState, "load", staticmethod(load))


@flaw(
    "restart-begins-anew",
    "session-signed-in-order-bob-restarts",
    "session-signed-reordered-bob-restarts",
)
def _(patch: Patch) -> None:
    """Does not write how many messages it has sent, and counts from 0 after a restart."""
    honest = RoomState.load

    def load(records: Any) -> RoomState:
        made = honest(records)
        if made.sending is not None:
            made.sending = replace(made.sending, index=0)
        return made

    patch.here(RoomState, "load", staticmethod(load))


@flaw("restart-forgets-leaving", "session-signed-leaving-bob")
def _(patch: Patch) -> None:
    """Keeps leave requests in memory only."""
    honest = RoomState.load

    def load(records: Any) -> RoomState:
        made = honest(records)
        made.leaving.clear()
        return made

    patch.here(RoomState, "load", staticmethod(load))
