"""What must hold of a device that has just been opened, whatever became of the process before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.kill.erasures import files, remains

if TYPE_CHECKING:
    from tests.kill.worker import Actor

__all__ = ["check_reopened", "pins_kept"]


def check_reopened(actor: Actor) -> None:
    """What is gone is in no file, what was burned is burned, who was offered is offered."""
    left = list(remains(actor.store.inner, files(actor.home), actor.rows))
    assert not left, f"not erased: {left}"
    notes = actor.notes()
    with actor.store.inner.transaction() as tx:
        for note in notes:
            if note["what"] == "burned":
                record = tx.get(b"inbox/" + bytes.fromhex(note["message"]))
                assert record is None, f"the burned {note['text']!r} is kept"
    pins_kept(actor, notes)


def pins_kept(actor: Actor, notes: list[dict[str, Any]]) -> None:
    """An identity that was offered stays so until that is settled; then it stays settled."""
    last = {n["person"]: n for n in notes if n["what"] in {"offered", "settling", "settled"}}
    for person, note in last.items():
        pin = actor.device.pinned(person)
        assert pin is not None, f"{person} is not pinned any more"
        if note["what"] == "offered":
            assert pin.offered is not None, "the offered identity is forgotten"
            assert pin.offered.fingerprint.hex() == note["identity"]
        if note["what"] == "settled":
            assert pin.identity.fingerprint.hex() == note["identity"], "another one is pinned"
