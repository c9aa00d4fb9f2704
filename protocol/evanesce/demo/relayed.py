"""The demo over a real relay: a process of its own, spoken with over HTTP and a WebSocket.

When the play is over, an authority demands what the relay holds of every mailbox, of those that
have been closed as well. The answers are those of `evanesce relay disclose`, run beside the relay
as its operator would: signed, and accounted for in the ledger.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from ..envelope import seal_envelope
from ..errors import Reason
from ..mailbox import MailboxKeys, MailboxReader
from ..ports import ManualClock, Outgoing, Recall, Transport
from ..relay.config import ENVIRONMENT
from ..relay.disclosure.answer import check_answer
from ..transport.memory import Seen
from ..transport.relay import RelayTransport
from .play import Outcome, play
from .script import Part
from .wire import Claim, Ending, MailboxDisclosed

__all__ = ["play_over_relay"]

_READY: Final = "listening on "
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0
_ANSWER_SECONDS: Final = 60.0
_AT_ONCE: Final = 2  # answers; the ledger takes one after the other
_COMMAND: Final = (sys.executable, "-m", "evanesce.cli", "relay")


class _Recorded(RelayTransport):
    """A device's transport that tells the wire what the relay has taken and what it has erased."""

    def __init__(self, url: str, wire: _RelayWire) -> None:
        super().__init__(url)
        self._wire = wire

    async def open_mailbox(self, reader: MailboxReader) -> None:
        await super().open_mailbox(reader)
        self._wire.addresses[reader.mailbox.address] = None

    async def close_mailbox(self, reader: MailboxReader) -> None:
        await super().close_mailbox(reader)
        address = reader.mailbox.address
        self._wire.gone(key for key in set(self._wire.waiting) if key.startswith(address))

    async def send(self, batch: Sequence[Outgoing]) -> dict[bytes, Reason]:
        refused = await super().send(batch)
        for item in batch:
            if item.id not in refused:
                self._wire.taken(item)
        return refused

    async def ack(self, ids: Sequence[bytes]) -> None:
        await super().ack(ids)
        self._wire.gone(ids)

    async def recall(self, batch: Sequence[Recall]) -> None:
        await super().recall(batch)
        self._wire.gone(item.mailbox.address + item.id for item in batch)


class _RelayWire:
    """A relay, and what went over it."""

    pause, looks, patience = 0.002, 5, 120.0

    def __init__(self, url: str, state: Path, environment: dict[str, str]) -> None:
        self.clock = ManualClock(int(time.time()))  # the relay has the true time
        self.seen: list[Seen] = []
        self.addresses: dict[bytes, None] = {}
        self.waiting: set[bytes] = set()  # address and id
        self._erased: set[bytes] = set()
        self._known: set[bytes] = set()
        self._url, self._state, self._environment = url, state, environment
        self._open = AsyncExitStack()

    async def close(self) -> None:
        """Close the connections."""
        await self._open.aclose()

    def transport(self) -> Transport:
        """A connection for each."""
        made = _Recorded(self._url, self)
        self._open.push_async_callback(made.close)
        return made

    def taken(self, item: Outgoing) -> None:
        """The relay has taken an envelope."""
        key = item.mailbox.address + item.id
        if key not in self._known:
            self._known.add(key)
            self.seen.append(Seen(self.clock.now(), item.mailbox.address, item.envelope))
            if key not in self._erased:  # it may have been fetched before this was heard
                self.waiting.add(key)

    def gone(self, keys: Iterable[bytes]) -> None:
        """The relay has erased envelopes."""
        keys = list(keys)
        self._erased.update(keys)
        self.waiting.difference_update(keys)

    def busy(self) -> bool:
        """Whether something waits."""
        return bool(self.waiting)

    # --- the disclosure --------------------------------------------------------------------------

    async def ending(self) -> Ending:
        """Demand what is held of every mailbox; of one that nobody has read, as a control."""
        addresses = sorted(self.addresses)
        async with RelayTransport(self._url) as transport:
            control = MailboxKeys.generate(secrets.token_bytes)
            await transport.open_mailbox(control.reader())
            envelope = seal_envelope(control.mailbox, b"not fetched", secrets.token_bytes)
            await transport.send([Outgoing(secrets.token_bytes(16), control.mailbox, envelope)])
            request = await self._run("request", "add", "--jurisdiction", "KR", "--category",
                                      "search_seizure", "--accounts", str(len(addresses) + 1),
                                      )  # fmt: skip
            slots = asyncio.Semaphore(_AT_ONCE)

            async def ask(address: bytes) -> MailboxDisclosed:
                async with slots:
                    answer = await self._run("disclose", address.hex(), "--request",
                                             request.strip(), "--json")  # fmt: skip
                self._given(address).write_text(answer, "utf-8")
                return _read(answer.encode(), address)

            asked = [control.mailbox.address, *addresses]
            unread, *mailboxes = await asyncio.gather(*(ask(address) for address in asked))
            await transport.close_mailbox(control.reader())
        checks = [f"--check={self._given(address)}" for address in asked]
        verified = await self._run("ledger", "verify", *checks, fine=(0, 1))
        found = sum(str(self._given(address)) in verified for address in asked)
        return Ending(list(_claims(unread, mailboxes, found)), mailboxes)

    def _given(self, address: bytes) -> Path:
        """Where an answer is kept by who has asked."""
        return self._state.with_name(f"{address.hex()}.json")

    async def _run(self, *arguments: str, fine: tuple[int, ...] = (0,)) -> str:
        """Run a command of the operator; return what it prints."""
        process = await asyncio.create_subprocess_exec(
            *_COMMAND, *arguments, "--state", str(self._state), env=self._environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                out, error = await process.communicate()
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        if process.returncode not in fine:
            said = error.decode("utf-8", "replace").strip()
            raise OSError(0, said or f"exit code {process.returncode}", f"relay {arguments[0]}")
        return out.decode() if process.returncode == 0 else ""


def _read(answer: bytes, address: bytes) -> MailboxDisclosed:
    """An answer whose signature has been checked."""
    key = bytes.fromhex(json.loads(answer)["key"])
    value: dict[str, Any] = check_answer(answer.strip(), key)
    if value["mailbox"] != address.hex():
        raise OSError(0, "the answer is about another mailbox", "relay disclose")
    held = {item["field"]: item["value"] for item in value["held"]}
    return MailboxDisclosed(address, value["exists"], len(held.get("envelopes", ())), held,
                            value["ledger"]["entry"])  # fmt: skip


def _claims(
    unread: MailboxDisclosed, mailboxes: Sequence[MailboxDisclosed], accounted: int
) -> Iterable[Claim]:
    yield Claim(
        "disclosure-control", "Control: of a mailbox that nobody reads, the relay discloses what "
        "waits there", unread.envelopes == 1, f"{unread.envelopes} of 1 envelope",
    )  # fmt: skip
    left = sum(mailbox.envelopes for mailbox in mailboxes)
    closed = sum(not mailbox.exists for mailbox in mailboxes)
    yield Claim(
        "forgotten", "What the relay discloses of every mailbox of the play, signed, has no "
        "envelope in it", left == 0 and bool(mailboxes),
        f"{left} envelopes in {len(mailboxes)} mailboxes, {closed} of them closed",
    )  # fmt: skip
    entries = {mailbox.entry for mailbox in (unread, *mailboxes)}
    yield Claim(
        "accounted", "Each disclosure stands in the relay's ledger, and nothing there was changed",
        accounted == len(entries) == len(mailboxes) + 1,
        f"{accounted} of {len(mailboxes) + 1} answers found in it",
    )  # fmt: skip


# --- the relay ------------------------------------------------------------------------------------


def _environment() -> dict[str, str]:
    """For processes that run the same package, and are configured by nothing but flags."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ENVIRONMENT)}
    package = str(Path(__file__).parents[2])
    path = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(path), "PYTHONUTF8": "1"}


@asynccontextmanager
async def _relay(state: Path, environment: dict[str, str]) -> AsyncIterator[str]:
    """A relay on a free port of this machine; it ends with the block, however that ends."""
    complaints = state.with_name("complaints")
    with complaints.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *_COMMAND, "serve", "--host", "127.0.0.1", "--port", "0", "--state", str(state),
            "--log-level", "error", env=environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=log,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        line = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                line = await process.stdout.readline()
        if not line.decode("utf-8", "replace").startswith(_READY):
            said = complaints.read_text("utf-8", "replace").strip()[-500:]
            raise OSError(0, said or "it does not start", "evanesce relay serve")
        yield line.decode().removeprefix(_READY).strip()
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except (TimeoutError, asyncio.CancelledError):
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def play_over_relay(parts: Sequence[Part], seed: str | None = None) -> Outcome:
    """Play a parsed script over a relay of its own, and ask it for what it has kept.

    No run is like another, whatever the seed of the devices: the relay's keys are random, and so
    is the order in which envelopes come. Raise `OSError` if the relay does not start, or does not
    answer.
    """
    environment = _environment()
    with TemporaryDirectory(prefix="evanesce-demo-") as folder:
        state = Path(folder) / "state"
        async with _relay(state, environment) as url:
            wire = _RelayWire(url, state, environment)
            try:
                return await play(parts, seed, wire=wire)
            finally:
                await wire.close()
