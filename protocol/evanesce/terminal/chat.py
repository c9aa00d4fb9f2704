"""`evanesce chat`: a room, live."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Final

from ..conversation import Conversation
from ..errors import EvanesceError, LocalError, Reason
from ..events import (
    MessageArrived,
    MessageBurned,
    MessageEvaporated,
    MessageViewed,
    RoomReplaced,
)
from .answer import Answer
from .burn_commands import LAST, burn_some
from .kept import Lying, lying, one
from .keyboard import pieces, typing_mode
from .lineedit import LineEditor, Sign
from .message_commands import say
from .notices import Notice, standing
from .problems import Refused, explain, undecided
from .screen import Screen
from .session import Session
from .text import safe_text
from .views import Json, OnScreen, Plain, View

__all__ = ["chat"]

_HELP: Final = (
    "a line you type is sent; /who, /verify, /quit; /burn takes back your last message, /burn all "
    "or /burn ID others; // sends a line that begins with /"
)
_TICK: Final = 1.0
_MOMENT: Final = 3.0


class _Chat:
    """What happens in a chat, wherever it is shown."""

    def __init__(self, session: Session, room: Conversation, view: View) -> None:
        self._session = session
        self._room = room
        self._view = view
        self._opened: dict[bytes, AbstractAsyncContextManager[str | bytes]] = {}  # to close
        self._shown: set[bytes] = set()
        self._doubting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._doubting.set_result(None)
        self.begun = asyncio.Event()

    async def begin_and_listen(self) -> None:
        """Show what lies here, and then what comes, until the device is closed."""
        for already in self._session.notices:
            self._notice(already)
        await self._show_lying()
        self.begun.set()
        async for event in self._session.device.events():
            if isinstance(event, MessageArrived):
                if self._belongs(event.room):
                    with contextlib.suppress(LocalError):  # evaporated on the way
                        await self._show(await one(self._session.device, event))
                else:
                    label = self._session.rooms.label(event.room)
                    self._view.notice(Notice("elsewhere", f"something has come in {label}",
                                             event.room.id))  # fmt: skip
            elif isinstance(event, MessageEvaporated):
                if event.message not in self._opened:
                    self._gone(event.message)
            elif isinstance(event, MessageBurned):  # open or not
                self._gone(event.message, burned=True)
            elif isinstance(event, MessageViewed) and self._belongs(event.room):
                self._view.viewed(event.message, self._session.rooms.call(event.by))
            else:
                if isinstance(event, RoomReplaced) and event.old == self._room:
                    self._room = event.new  # both had begun one: go on in the one that serves
                told = self._session.note(event)
                if told is not None:
                    self._notice(told)
                if self._session.doubts and self._doubting.done():
                    self._doubting = asyncio.ensure_future(self._settle())

    def _notice(self, told: Notice) -> None:
        if told.commands:  # the home is in use as long as the chat goes on
            told = replace(told, text=f"{told.text} (leave this chat first: /quit)")
        self._view.notice(told)

    def _belongs(self, room: Conversation) -> bool:
        """Whether a room is shown here: this one, or another 1:1 room with the same person."""
        if room == self._room:
            return True
        return self._room.direct and room.direct and (
            room.peer.identity == self._room.peer.identity
        )  # fmt: skip

    async def _show_lying(self) -> None:
        for found in await lying(self._session.device):
            if self._belongs(found.arrived.room):
                await self._show(found)

    async def _settle(self) -> None:
        """Tell of missing messages, unless they come within a moment."""
        await asyncio.sleep(_MOMENT)
        for told in self._session.settle():
            self._view.notice(told)

    async def _show(self, found: Lying) -> None:
        if found.arrived.message.id in self._shown:
            return
        self._shown.add(found.arrived.message.id)
        opened = found.arrived.message.open()
        try:
            body = await opened.__aenter__()
        except LocalError as error:
            if error.reason is not Reason.EVAPORATED:
                raise
            return
        if found.after_view == 0:  # its record may go from now on; it is shown until it is closed
            self._opened[found.arrived.message.id] = opened
            self._view.message(found, body)
            if self._view.closes_at_once:
                await self.close()
            return
        await opened.__aexit__(None, None, None)
        with contextlib.suppress(LocalError):  # it was the last moment
            if not found.own:
                found = await one(self._session.device, found.arrived)  # its time runs from now on
            self._view.message(found, body)

    def _gone(self, message: bytes, *, burned: bool = False) -> None:
        if message in self._shown:
            self._shown.remove(message)
            self._view.gone(message, burned=burned)

    async def watch(self) -> None:
        """Tell when the mail stops being carried, and when it is again."""
        told = self._session.mail.trouble
        while True:
            await asyncio.sleep(_TICK)
            trouble = self._session.mail.trouble
            if bool(trouble) != bool(told):
                carrier = self._session.mail.called
                again = f"{carrier} is there again"
                self._tell(f"{trouble}; it is tried again" if trouble else again)
            told = trouble

    async def close(self) -> None:
        """Close what is open: those messages go whose policy is to go on closing."""
        opened, self._opened = self._opened, {}
        for message, viewer in opened.items():
            await viewer.__aexit__(None, None, None)
            self._gone(message)

    async def end(self) -> None:
        """Leave nothing open."""
        self._doubting.cancel()
        await self.close()

    async def typed(self, line: str) -> bool:
        """Do what a line asks for; return whether the chat goes on."""
        await self.close()
        line = line.strip()
        if line in ("/quit", "/q", "/exit"):
            return False
        if line.split()[:1] == ["/burn"]:
            await self._burn(line.split()[1:] or [LAST])
            return True
        if line.startswith("/") and not line.startswith("//"):
            self._tell(self._command(line))
        elif line:
            await self._send(line[1:] if line.startswith("//") else line)
        return True

    def _tell(self, text: str) -> None:
        self._view.notice(Notice("answer", text, self._room.id))

    async def _burn(self, wanted: list[str]) -> None:
        try:
            burned = await burn_some(self._room, wanted)
        except (EvanesceError, Refused) as error:
            refused = error if isinstance(error, Refused) else explain(error)
            self._tell(f"not burned: {refused.what}" + (f" ({refused.hint})" * bool(refused.hint)))
            return
        for message in burned:
            self._shown.discard(message)
            self._view.gone(message, burned=True)
        self._tell("burned, here and, as they hear of it, at the others'")

    async def _send(self, text: str) -> None:
        try:
            sent = await say(self._session, self._room, text)
        except (EvanesceError, Refused) as error:
            refused = error if isinstance(error, Refused) else explain(error)
            self._tell(f"not sent: {refused.what}" + (f" ({refused.hint})" if refused.hint else ""))
            return
        own = await lying(self._session.device, self._room)
        copy = next((found for found in own if found.arrived.message.id == sent), None)
        self._view.sent(sent, safe_text(text), copy)
        if await self._room.unsent():
            carrier = self._session.mail.called
            self._tell(f"{carrier} does not answer: it is sent as soon as it does")

    def _command(self, line: str) -> str:
        session, room = self._session, self._room
        if line == "/who":
            return "\n".join(
                f"{session.rooms.call(person)}, {person.role.name.lower()}"
                + (", verified" if session.contacts.verified(person) else "")
                for person in room.members
            )
        if line == "/verify":
            others = [person for person in room.members if not session.rooms.is_me(person)]
            return "\n".join(f"{session.rooms.call(person)}: {room.safety_number(person)}"
                             for person in others)  # fmt: skip
        return _HELP


async def chat(session: Session, options: argparse.Namespace) -> Answer:
    """Chat in a room until it is left."""
    await session.catch_up()
    room = await session.room_or_begin(options.room)
    names = session.contacts.pinned_names(room.unsettled)
    if names:  # what comes can be read all the same
        said = undecided(names)
        session.notices.append(Notice("identity-changed", f"{said.what} ({said.hint})", room.id))
    told = {already.kind for already in session.notices if already.kind == "rolled-back"}
    session.notices += [
        still for still in standing(session.rooms, room)
        if still.kind not in told and still not in session.notices
    ]  # fmt: skip
    stop = asyncio.Event()
    with _signals(stop):
        if options.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            view: View = Json(session) if options.json else Plain(session)
            talk = _Chat(session, room, view)
            await _run(talk, stop, _lines(talk))
        else:
            await _on_terminal(session, room, stop)
    return Answer(streamed=True)


async def _on_terminal(session: Session, room: Conversation, stop: asyncio.Event) -> None:
    editor = LineEditor()
    others = [p for p in room.members if not session.rooms.is_me(p)]
    verified = all(session.contacts.verified(person) for person in others) and bool(others)
    mark = "✓ verified" if verified else "not verified: /verify"
    title = f"{session.rooms.label(room)} · {len(room.members)} members · {mark} · /quit"
    screen = Screen(title, editor, colour="NO_COLOR" not in os.environ)
    view = OnScreen(session, screen)
    talk = _Chat(session, room, view)
    with typing_mode(sys.stdin.fileno()):
        screen.enter()
        try:
            view.draw()
            await _run(talk, stop, _keys(talk, editor, view, stop), _ticks(view))
        finally:
            screen.leave()


async def _run(talk: _Chat, stop: asyncio.Event, *parts: Coroutine[Any, Any, None]) -> None:
    """Let everything go on until something ends it; then close what is open."""
    works = (talk.begin_and_listen(), talk.watch(), stop.wait(), *parts)
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await talk.end()


async def _lines(talk: _Chat) -> None:
    """Read lines from anything but a terminal, until its end or /quit."""
    await talk.begun.wait()
    rest = b""
    async for piece in pieces(sys.stdin.fileno()):
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if not await talk.typed(line.decode("utf-8", "replace")):
                return
    if rest:
        await talk.typed(rest.decode("utf-8", "replace"))


async def _keys(talk: _Chat, editor: LineEditor, view: OnScreen, stop: asyncio.Event) -> None:
    """Read keys; what is sent does not hold up what is typed meanwhile."""
    lines: asyncio.Queue[str] = asyncio.Queue()

    async def do_lines() -> None:
        await talk.begun.wait()
        while await talk.typed(await lines.get()):
            pass
        stop.set()

    doing = asyncio.create_task(do_lines())
    doing.add_done_callback(lambda _: stop.set())
    try:
        async for piece in pieces(sys.stdin.fileno()):
            for item in editor.feed(piece):
                if item is Sign.LEAVE:
                    return
                if item is Sign.REDRAW:
                    view.draw(again=True)
                elif isinstance(item, str):
                    lines.put_nowait(item)
            view.draw()
    finally:
        if not doing.done():
            doing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await doing


async def _ticks(view: OnScreen) -> None:
    while True:
        await asyncio.sleep(_TICK)
        view.draw()


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Let Ctrl-C, and a terminal that is closed, end the chat as /quit does."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        for number in signals:
            loop.add_signal_handler(number, stop.set)
    except (ValueError, RuntimeError):  # not the main thread: whoever runs it takes care
        yield
        return
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
