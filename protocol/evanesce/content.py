"""What a message says: text, data, and a room's own announcements; and for how long (spec 13)."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import LocalError, Reason, RemoteError
from .formats import ANNOUNCEMENT, BURN, DATA, LEAVE, TEXT, VIEWED
from .limits import MAX_BODY, MAX_CONTENT, MAX_LIFETIME, MAX_NAME, MAX_NAMED
from .mailbox import Mailbox
from .primitives import check_dh_key
from .wire import Value, check_time, decode, kind_of, utf8

__all__ = ["Announcement", "Burn", "Content", "Evaporation", "Leave", "Said", "Viewed",
           "parse_content"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Evaporation:
    """When a message evaporates.

    `after_view`: seconds from viewing (0: on closing), or None when viewing starts no timer.
    `lifetime`: seconds from the earlier of sent and received, at most `MAX_LIFETIME`, viewed or
    not.
    """

    after_view: int | None = None
    lifetime: int = MAX_LIFETIME

    def check(self) -> None:
        """Raise `RemoteError` (bad-policy): no lifetime, over the limit, not whole seconds."""
        lifetime, after_view = self.lifetime, self.after_view
        if type(lifetime) is not int or not 0 < lifetime <= MAX_LIFETIME:
            raise RemoteError(Reason.BAD_POLICY, "lifetime out of range")
        if after_view is not None and (
            type(after_view) is not int or not 0 <= after_view <= MAX_LIFETIME
        ):
            raise RemoteError(Reason.BAD_POLICY, "after_view out of range")

    def strictest(self, other: Evaporation) -> Evaporation:
        """The stricter of both in each respect (REQ-EVAP-02)."""
        first, second = self.after_view, other.after_view
        if first is None or (second is not None and second < first):
            first = second
        return Evaporation(first, min(self.lifetime, other.lifetime))

    def deadline(self, sent: int, received: int) -> int:
        """When it evaporates even if never viewed (REQ-EVAP-03)."""
        return min(sent, received) + self.lifetime

    def deadline_viewed(self, sent: int, received: int, viewed: int) -> int:
        """When it evaporates once viewed at `viewed`: viewing never extends it (REQ-EVAP-04)."""
        end = self.deadline(sent, received)
        return end if self.after_view is None else min(end, viewed + self.after_view)


@dataclass(frozen=True, slots=True)
class Said:
    """Something a person said: `body` is `str` for text, `bytes` for an application's data."""

    body: str | bytes
    sent: int
    evaporation: Evaporation
    quote: bytes | None = None

    def encode(self) -> bytes:
        """The content's bytes. Raise `LocalError` (too-large, bad-policy, bad-input)."""
        if isinstance(self.body, str):
            utf8(self.body, MAX_BODY)
        elif type(self.body) is not bytes:
            raise LocalError(Reason.BAD_INPUT, "a message is str or bytes")
        elif len(self.body) > MAX_BODY:
            raise LocalError(Reason.TOO_LARGE, f"{len(self.body)} bytes, {MAX_BODY} allowed")
        check_time(self.sent)
        try:
            self.evaporation.check()
        except RemoteError as error:
            raise LocalError(error.reason, error.detail) from error
        quote = self.quote
        if quote is not None and (not isinstance(quote, bytes) or len(quote) != 16):
            raise LocalError(Reason.BAD_INPUT, "a message id has 16 bytes")
        form = TEXT if isinstance(self.body, str) else DATA
        evaporation = self.evaporation
        return form.build(
            self.sent, evaporation.after_view, evaporation.lifetime,
            None if quote is None else bytes(quote), self.body,
        )

    def __repr__(self) -> str:
        return f"Said({len(self.body)} {'characters' if isinstance(self.body, str) else 'bytes'})"


@dataclass(frozen=True, slots=True)
class Announcement:
    """A member's own name, and the mailbox it reads in this room."""

    name: str
    mailbox: Mailbox

    def encode(self) -> bytes:
        """The content's bytes. Raise `LocalError` (too-large, bad-input)."""
        utf8(self.name, MAX_NAME)
        return ANNOUNCEMENT.build(self.name, self.mailbox.value())


@dataclass(frozen=True, slots=True)
class Leave:
    """A signed request to be removed, which any other member commits."""

    request: bytes

    def encode(self) -> bytes:
        """The content's bytes."""
        return LEAVE.build(self.request)


def _named(messages: tuple[bytes, ...]) -> list[Value]:
    """The ids of 1 to 256 messages. Raise `LocalError` (bad-input, too-large)."""
    if not messages or any(not isinstance(key, bytes) or len(key) != 16 for key in messages):
        raise LocalError(Reason.BAD_INPUT, "ids of messages have 16 bytes")
    if len(messages) > MAX_NAMED:
        raise LocalError(Reason.TOO_LARGE, f"{len(messages)} messages, {MAX_NAMED} allowed")
    return [bytes(key) for key in messages]


@dataclass(frozen=True, slots=True)
class Viewed:
    """Messages of others that its sender has viewed: a receipt (REQ-EVAP-12)."""

    messages: tuple[bytes, ...]  # ids, 16 bytes each, 1 to 256

    def encode(self) -> bytes:
        """The content's bytes. Raise `LocalError` (bad-input, too-large)."""
        return VIEWED.build(_named(self.messages))


@dataclass(frozen=True, slots=True)
class Burn:
    """Messages of its sender that are to be erased wherever they are (REQ-EVAP-14)."""

    messages: tuple[bytes, ...]  # ids, 16 bytes each, 1 to 256

    def encode(self) -> bytes:
        """The content's bytes. Raise `LocalError` (bad-input, too-large)."""
        return BURN.build(_named(self.messages))


Content = Said | Announcement | Leave | Viewed | Burn


def parse_content(data: bytes) -> Content:
    """Read a content. Raise `RemoteError`: as `Form.parse`; wrong-type for an unknown kind."""
    value = decode(data, limit=MAX_CONTENT)
    kind = kind_of(value)
    if kind in (TEXT.type, DATA.type):
        form = TEXT if kind == TEXT.type else DATA
        sent, after_view, lifetime, quote, body = form.read(value)
        evaporation = Evaporation(after_view, lifetime)
        evaporation.check()
        return Said(body, sent, evaporation, quote)
    if kind == ANNOUNCEMENT.type:
        name, mailbox = ANNOUNCEMENT.read(value)
        check_dh_key(mailbox[1])
        return Announcement(name, Mailbox(*mailbox))
    if kind == LEAVE.type:
        (request,) = LEAVE.read(value)
        return Leave(request)
    if kind == VIEWED.type:
        (messages,) = VIEWED.read(value)
        return Viewed(tuple(messages))
    if kind == BURN.type:
        (messages,) = BURN.read(value)
        return Burn(tuple(messages))
    raise RemoteError(Reason.WRONG_TYPE, f"content of type {kind}")
