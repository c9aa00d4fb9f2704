"""What a relay writes to its log: JSON lines, with fields and events of a closed list (spec 22.9).

There is no line for a request: whoever collects the lines adds the time of each, and with it the
log would tell when somebody spoke. What other libraries would log is cut down to who said it.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Callable
from enum import IntEnum
from pathlib import PurePath
from typing import Any, Final, TextIO

__all__ = ["EVENTS", "FIELDS", "Level", "Log", "quiet_libraries"]

HOUR: Final = 3_600

FIELDS: Final[dict[str, str]] = {
    "hour": "the hour, as 2026-11-24T14Z: no finer time",
    "level": "debug, info, warning or error",
    "event": "what happened, of the list of events",
    "count": "how often it has happened in this hour, at 1, 10, 100, …",
    "error": "the class of the error",
    "where": "the module and line that raised it",
    "reason": "its reason code",
    "library": "which library reported something",
    "store": "which kind of store: sqlite or nats",
    "version": "of this software",
    "notices": "how many notices were given",
}

EVENTS: Final[dict[str, str]] = {
    "started": "it takes requests",
    "stopping": "it takes none any more",
    "stopped": "all that was under way is finished",
    "stopped-late": "what was under way did not finish in time, and was cut off",
    "tick-failed": "keys or rows of an hour that has passed could not be destroyed; tried again",
    "tick-recovered": "they could",
    "clock-jumped": "the time of day has jumped, and is not followed: set it right and restart",
    "notices-failed": "notices that are due could not be left or noted; tried again",
    "notices-given": "disclosure notices were left in their mailboxes",
    "request-failed": "a request met an error that was not foreseen, and was answered relay-busy",
    "frame-failed": "the same for a frame of a WebSocket",
    "session-failed": "a WebSocket was ended by such an error",
    "session-cut": "a reader did not take what was sent in time",
    "library": "a library reported something; its text is left out, since it may name a client",
}


class Level(IntEnum):
    """How much is logged: a line of at least this weight."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class Log:
    """Writes lines. What happens again and again in an hour is told the 1st, 10th, 100th time."""

    def __init__(
        self,
        stream: TextIO | None = None,
        level: Level = Level.INFO,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stream = stream
        self._level = level
        self._clock = clock
        self._seen: dict[tuple[object, ...], int] = {}
        self._hour = -1

    def write(self, level: Level, event: str, **fields: str | int) -> None:
        """Write a line. Raise `KeyError` for a field or an event that is not on the list."""
        EVENTS[event]
        for name in fields:
            FIELDS[name]
        if level < self._level:
            return
        hour = int(self._clock()) // HOUR
        if hour != self._hour:
            self._hour = hour
            self._seen.clear()
        key = (event, *sorted(fields.items()))
        count = self._seen[key] = self._seen.get(key, 0) + 1
        if len(self._seen) > 1_000:
            self._seen.clear()
        if str(count).strip("0") != "1":
            return
        line: dict[str, Any] = {
            "hour": time.strftime("%Y-%m-%dT%HZ", time.gmtime(hour * HOUR)),
            "level": level.name.lower(),
            "event": event,
        }
        if count > 1:
            line["count"] = count
        stream = self._stream or sys.stderr
        try:
            stream.write(json.dumps(line | fields, ensure_ascii=True) + "\n")
            stream.flush()
        except (OSError, ValueError):
            pass  # a log that cannot be written stops nobody's messages

    def failure(self, event: str, error: BaseException, level: Level = Level.ERROR) -> None:
        """Write what kind of error it was and where it came from: its text may hold anything."""
        fields: dict[str, str | int] = {"error": type(error).__name__, "where": _where(error)}
        reason = getattr(error, "reason", None)
        if reason is not None:
            fields["reason"] = str(reason)
        self.write(level, event, **fields)


def _where(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "unknown"
    own = [frame for frame in frames if "evanesce" in frame.filename]
    frame = (own or frames)[-1]
    return f"{PurePath(frame.filename).stem}:{frame.lineno}"


class _Libraries(logging.Handler):
    """Takes what libraries log. Only which one it was, and the class of an error, goes on."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.ERROR)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, str | int] = {"library": record.name.split(".")[0]}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            fields |= {"error": type(error).__name__, "where": _where(error)}
        self._log.write(Level.ERROR, "library", **fields)


def quiet_libraries(log: Log) -> None:
    """Let nothing that a library logs reach any other place than `log`, for this process."""
    logging.captureWarnings(True)
    handler = _Libraries(log)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.ERROR)
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
        logger.setLevel(logging.ERROR)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "websockets",
                 "websockets.server", "nats", "asyncio"):  # fmt: skip
        logging.getLogger(name).setLevel(logging.ERROR)
