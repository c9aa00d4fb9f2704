"""What a relay says of itself: what it is, what it holds and for how long (REQ-RELAY-14)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ... import __version__
from ...limits import (
    MAILBOX_ENVELOPES,
    MAX_BATCH,
    MAX_BLOB,
    MAX_CREDIT,
    MAX_CREDIT_BYTES,
    MAX_ENVELOPE,
    MAX_PUBLISHED,
)
from ...relay_formats import SUBPROTOCOL
from ..disclosure.holdings import held
from ..disclosure.notices import disclosure_key
from ..settings import RelaySettings

__all__ = ["about", "signing"]


def about(settings: RelaySettings) -> dict[str, Any]:
    """The answer to `GET /v1/about`."""
    return {
        "relay": "evanesce",
        "version": __version__,
        "protocols": [SUBPROTOCOL],
        "retention_hours": settings.retention_hours,
        "limits": {
            "batch": MAX_BATCH,
            "envelope_bytes": MAX_ENVELOPE,
            "blob_bytes": MAX_BLOB,
            "mailbox_envelopes": MAILBOX_ENVELOPES,
            "packages": MAX_PUBLISHED,
            "credit_envelopes": MAX_CREDIT,
            "credit_bytes": MAX_CREDIT_BYTES,
            "session_mailboxes": settings.session_mailboxes,
        },
        "holdings": [each.value() for each in held()],
    }


def signing(keys: Path) -> dict[str, Any]:
    """What is added of a relay with keys in this folder: the key that signs its statements.

    It is made if there is none, so that it stands there before anything is signed with it. Raise
    `LocalError` (bad-store).
    """
    return {"disclosure_key": disclosure_key(keys).hex()}
