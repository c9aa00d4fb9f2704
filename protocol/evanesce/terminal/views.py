"""How a chat is shown: on a screen, as plain lines, or as JSON, one object in each line."""

from __future__ import annotations

from typing import Any, Protocol

from .answer import as_json, write
from .duration import clock_time, in_words
from .kept import Lying
from .message_commands import body_text, message_data
from .notices import Notice
from .screen import Line, Screen
from .session import Session

__all__ = ["Json", "OnScreen", "Plain", "View"]


class View(Protocol):
    """Where a chat is shown."""

    closes_at_once: bool  # whether a message that goes on closing is closed when it was printed

    def message(self, found: Lying, body: str | bytes) -> None:
        """A message, viewed now."""

    def gone(self, message: bytes, *, burned: bool = False) -> None:
        """It has evaporated, or its author has burned it."""

    def viewed(self, message: bytes, by: str) -> None:
        """Somebody says that they have viewed what one has sent."""

    def notice(self, told: Notice) -> None:
        """Something else to tell."""

    def sent(self, message: bytes, text: str, found: Lying | None) -> None:
        """What was typed has been sent; `found` is the own copy, if one is kept."""


class OnScreen:
    """On a terminal."""

    closes_at_once = False

    def __init__(self, session: Session, screen: Screen) -> None:
        self._session = session
        self._screen = screen

    def draw(self, *, again: bool = False) -> None:
        """Draw the screen, if it has changed or with `again`."""
        self._screen.draw(self._session.device.clock.now(), again=again)

    def message(self, found: Lying, body: str | bytes) -> None:
        """Add it."""
        self._screen.add(Line(
            body_text(body), self._session.rooms.call(found.arrived.sender),
            clock_time(found.arrived.sent), found.arrived.message.id, found.deadline,
            found.after_view == 0,
        ))  # fmt: skip
        self.draw()

    def gone(self, message: bytes, *, burned: bool = False) -> None:
        """Take it off."""
        self._screen.drop(message)
        self.draw()

    def viewed(self, message: bytes, by: str) -> None:
        """Mark it."""
        self._screen.mark(message)
        self.draw()

    def notice(self, told: Notice) -> None:
        """Add it, without a name."""
        for line in told.text.split("\n"):
            self._screen.add(Line(line))
        self.draw()

    def sent(self, message: bytes, text: str, found: Lying | None) -> None:
        """Add one's own words, for as long as they are kept."""
        if found is None:
            self.notice(Notice("sent", "sent; no copy of it is kept here"))
        else:
            self.message(found, text)


class Plain:
    """As lines, where there is no terminal."""

    closes_at_once = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def message(self, found: Lying, body: str | bytes) -> None:
        """Print it."""
        text = body_text(body).replace("\n", "\n    │ ")
        fate = ""
        if found.after_view is not None:
            fate = f"  [{in_words(found.after_view)}]"
        write(f"{self._session.rooms.call(found.arrived.sender)}: {text}{fate}")

    def gone(self, message: bytes, *, burned: bool = False) -> None:
        """Printed lines cannot be taken back."""

    def viewed(self, message: bytes, by: str) -> None:
        """Print it."""
        write(f"* {by} has viewed #{message.hex()[:8]}")

    def notice(self, told: Notice) -> None:
        """Print it."""
        write("\n".join(f"* {line}" for line in told.text.split("\n")))

    def sent(self, message: bytes, text: str, found: Lying | None) -> None:
        """Whoever typed it knows it."""


class Json:
    """One JSON object in each line, for programs."""

    closes_at_once = True

    def __init__(self, session: Session) -> None:
        self._session = session

    @staticmethod
    def _write(event: str, data: dict[str, Any]) -> None:
        write(as_json({"event": event, **data}, indent=None))

    def message(self, found: Lying, body: str | bytes) -> None:
        """Print it."""
        self._write("message", message_data(self._session, found, body))

    def gone(self, message: bytes, *, burned: bool = False) -> None:
        """Print that."""
        self._write("burned" if burned else "evaporated", {"id": message.hex()})

    def viewed(self, message: bytes, by: str) -> None:
        """Print that."""
        self._write("viewed", {"id": message.hex(), "by": by})

    def notice(self, told: Notice) -> None:
        """Print it."""
        self._write("notice", told.data())

    def sent(self, message: bytes, text: str, found: Lying | None) -> None:
        """Print the id."""
        self._write("sent", {"id": message.hex()})
