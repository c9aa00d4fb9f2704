"""What is typed or piped in, without holding up the event loop, and the terminal set for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

__all__ = ["pieces", "typing_mode"]

_PIECE: Final = 65_536


async def pieces(source: int) -> AsyncIterator[bytes]:
    """What comes from a file descriptor, until its end.

    A thread of its own reads, as an event loop cannot wait for every kind of file; it ends with the
    process. It reads without a buffer whose lock it could hold then.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes] = asyncio.Queue()

    def tell(data: bytes) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(queue.put_nowait, data)

    def look() -> None:
        data = b"-"
        while data:
            try:
                data = os.read(source, _PIECE)
            except OSError:  # a terminal that was closed
                data = b""
            tell(data)

    threading.Thread(target=look, name="evanesce keyboard", daemon=True).start()
    while data := await queue.get():
        yield data


@contextlib.contextmanager
def typing_mode(terminal: int) -> Iterator[None]:
    """Give every key at once and print none of them. Ctrl-Z does nothing in this mode."""
    import termios  # noqa: PLC0415  POSIX only, as the store is

    before: list[Any] = termios.tcgetattr(terminal)
    mode: list[Any] = termios.tcgetattr(terminal)
    mode[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    mode[0] &= ~termios.IXON
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    mode[6][termios.VSUSP] = b"\x00"
    termios.tcsetattr(terminal, termios.TCSADRAIN, mode)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
