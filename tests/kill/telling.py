"""What the journal says of an event."""

from __future__ import annotations

from typing import Any

from evanesce import (
    DeliveryFailed,
    Event,
    MessageArrived,
    MessageBurned,
    MessageEvaporated,
    MessagesMissing,
    MessageViewed,
    Rejected,
)

__all__ = ["described"]


def described(event: Event) -> dict[str, Any]:
    """Its name, and what the checks look at."""
    match event:
        case MessageArrived():
            return {"event": "MessageArrived", "message": event.message.id.hex()}
        case MessageBurned(message=message):
            return {"event": "MessageBurned", "message": message.hex()}
        case MessageViewed(by=by, message=message):
            whose = by.identity.fingerprint.hex()
            return {"event": "MessageViewed", "message": message.hex(), "by": whose}
        case MessageEvaporated(message):
            return {"event": "MessageEvaporated", "message": message.hex()}
        case MessagesMissing(lost=lost):
            return {"event": "MessagesMissing", "lost": lost}
        case DeliveryFailed(reason, epoch=epoch):
            return {"event": "DeliveryFailed", "reason": str(reason), "epoch": epoch}
        case Rejected(reason, detail):
            return {"event": "Rejected", "reason": str(reason), "detail": detail}
        case _:
            return {"event": type(event).__name__}
