"""How a refusal is told over HTTP: a status, a JSON body, and when to try again (REQ-RELAY-02)."""

from __future__ import annotations

from typing import Final

from starlette.responses import JSONResponse

from ...errors import EvanesceError, Reason

__all__ = ["BUSY_SECONDS", "Refusal", "answer", "refusal_of", "seconds_of"]

BUSY_SECONDS: Final = 2  # overloaded, stopping, or a store that changes its leader
FULL_SECONDS: Final = 60  # room comes when envelopes are acked, or their hour has passed
RATE_SECONDS: Final = 5  # where the relay below has counted, and does not say

_STATUS: Final = {
    Reason.TOO_LARGE: 413,
    Reason.NOT_PERMITTED: 403,
    Reason.UNKNOWN_BLOB: 404,
    Reason.UNKNOWN_MAILBOX: 404,
    Reason.TOO_MANY_REQUESTS: 429,
    Reason.RELAY_BUSY: 503,
    Reason.RELAY_FULL: 507,
}
_SECONDS: Final = {
    Reason.TOO_MANY_REQUESTS: RATE_SECONDS,
    Reason.RELAY_BUSY: BUSY_SECONDS,
    Reason.RELAY_FULL: FULL_SECONDS,
}


class Refusal(Exception):  # noqa: N818
    """A request is refused as a whole. `retry` is in whole seconds, 0 for never."""

    def __init__(
        self,
        reason: Reason,
        detail: str,
        *,
        status: int | None = None,
        retry: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.detail = detail
        self.status = _STATUS.get(reason, 400) if status is None else status
        self.retry = _SECONDS.get(reason, 0) if retry is None else retry
        self.headers = headers or {}


def seconds_of(reason: Reason) -> int:
    """What `Retry-After` says for this reason, or 0: also the seconds of a *done* (22.4)."""
    return _SECONDS.get(reason, 0)


def refusal_of(error: EvanesceError) -> Refusal:
    """The refusal that an error of this package stands for. Its text holds no secret (spec 2)."""
    return Refusal(error.reason, error.detail)


def answer(refusal: Refusal) -> JSONResponse:
    """The answer that tells it."""
    headers = dict(refusal.headers)
    if refusal.retry:
        headers["retry-after"] = str(refusal.retry)
    body = {"reason": str(refusal.reason), "detail": refusal.detail}
    return JSONResponse(body, status_code=refusal.status, headers=headers)
