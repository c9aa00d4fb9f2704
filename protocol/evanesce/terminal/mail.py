"""What carries the mail of a home: a folder that all share, or a relay."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import EvanesceError
from ..ports import Transport
from ..transport.folder import FolderTransport
from .problems import Refused
from .text import one_line

if TYPE_CHECKING:
    from ..transport.relay import RelayTransport

__all__ = ["Mail", "Net", "absolute", "mail_of", "net_of", "reach"]

Net = Path | str
"""Where the mail is: a folder, or the URL of a relay."""

_PAUSE: Final = 0.25  # seconds between two looks: who chats does not want to wait for a second
_QUIET: Final = 0.4  # seconds without a word of a relay, when all that waits has come
_HOST: Final = re.compile(r"[\w-]+(\.[\w-]+)*:\d+")  # what nobody calls a folder
_EXTRA: Final = "pip install 'evanesce[relay]'"


def net_of(text: str) -> Net:
    """What `--net` names. Raise `ArgumentTypeError` for another kind of URL."""
    scheme, colon, _ = text.partition("://")
    if not colon or not scheme.isalnum():
        if _HOST.fullmatch(text) and not Path(text).exists():
            raise argparse.ArgumentTypeError(f"is that a relay? then https://{text}")
        return Path(text)
    if scheme.lower() not in ("http", "https"):
        raise argparse.ArgumentTypeError("a folder, or the https URL of a relay")
    return scheme.lower() + text[len(scheme) :].rstrip("/")


def absolute(net: Net) -> Net:
    """The same from everywhere."""
    return net if isinstance(net, str) else Path(os.path.abspath(net.expanduser()))


class Mail(Protocol):
    """A transport, with an ear for the moments when nothing waits."""

    transport: Transport
    called: str

    async def nothing_waits(self) -> None:
        """Return when nothing waits any more. Raise `TimeoutError` if that cannot be told."""

    @property
    def trouble(self) -> str:
        """Why nothing can be carried now, in words; empty if it can, as far as is known."""


class _FolderMail:
    """The shared folder."""

    called = "the shared folder"
    trouble = ""

    def __init__(self, net: Path) -> None:
        self.transport: Transport = FolderTransport(net, sleep=self._pause)
        self._nothing = asyncio.Event()

    async def _pause(self, duration: float) -> None:
        self._nothing.set()
        await asyncio.sleep(min(duration, _PAUSE))

    async def nothing_waits(self) -> None:
        """Return after the next look that finds nothing."""
        self._nothing.clear()
        await self._nothing.wait()


class _RelayMail:
    """A relay."""

    called = "the relay"

    def __init__(self, relay: RelayTransport) -> None:
        self.transport: Transport = relay
        self._relay = relay

    async def nothing_waits(self) -> None:
        """Return when it has been quiet for a moment."""
        try:
            await self._relay.quiet(_QUIET)
        except (OSError, EvanesceError) as error:
            raise TimeoutError(_words(error)) from None

    @property
    def trouble(self) -> str:
        """What the last try to reach it has come to."""
        fault = self._relay.trouble
        return "" if fault is None else f"{self._relay.url}: {_words(fault)}"


def _words(fault: OSError | EvanesceError) -> str:
    if isinstance(fault, EvanesceError):
        return one_line(f"the relay refuses ({fault})")
    return fault.strerror or str(fault)


def _relay(url: str) -> RelayTransport:
    try:
        from ..transport.relay import RelayTransport  # noqa: PLC0415  only with the extra
    except ModuleNotFoundError:
        raise Refused(
            "to chat over a relay, more packages are needed", _EXTRA, reason="no-extra"
        ) from None
    try:
        return RelayTransport(url)
    except EvanesceError as error:
        raise Refused(
            f"{url}: {error.detail}", "for example: --net https://relay.example", reason="bad-net"
        ) from None


@asynccontextmanager
async def mail_of(net: Net) -> AsyncIterator[Mail]:
    """What carries the mail there. Raise `Refused` where the extra is missing."""
    if isinstance(net, Path):
        yield _FolderMail(net)
        return
    async with _relay(net) as relay:
        yield _RelayMail(relay)


async def reach(net: Net) -> None:
    """See that a new home is told of a relay that is one. Raise `Refused`."""
    if isinstance(net, Path):
        return
    async with _relay(net) as relay:
        try:
            await relay.about()
        except (OSError, EvanesceError) as error:
            raise Refused(
                f"{net}: {_words(error)}",
                "is that its URL, and is it running? evanesce relay serve starts one",
                reason="no-net",
            ) from None

