"""How much a reader may still be sent (spec 22.4)."""

from __future__ import annotations

from dataclasses import dataclass

from ..limits import MAX_CREDIT, MAX_CREDIT_BYTES

__all__ = ["Credit"]


@dataclass(slots=True)
class Credit:
    """Envelopes, and bytes of them, that may be sent over one connection (REQ-RELAY-10)."""

    envelopes: int = 0
    octets: int = 0  # below 0 when the last one overdrew them

    def give(self, envelopes: int, octets: int) -> None:
        """So many more; what is then more than `MAX_CREDIT`, `MAX_CREDIT_BYTES` is cut off."""
        self.envelopes = min(self.envelopes + envelopes, MAX_CREDIT)
        self.octets = min(self.octets + octets, MAX_CREDIT_BYTES)

    @property
    def left(self) -> bool:
        """Whether an envelope may be sent, however long it is."""
        return self.envelopes > 0 and self.octets > 0

    def take(self, size: int) -> None:
        """An envelope of so many bytes has been sent."""
        self.envelopes -= 1
        self.octets -= size
