"""Reads that see all that was written before: of several messages at a time, from any replica.

JetStream answers a read in batches ("direct get") from whichever replica is nearest, and a replica
may be behind. A read of the leader would not help: one that has been replaced answers for some
seconds before it knows. So each read first writes a *fence* to the stream: when that is answered, a
majority has it, and its sequence is greater than that of all that was answered before. The replica
says up to which sequence it has read (`Nats-UpTo-Sequence`), and what is not up to the fence is not
believed: the read is tried again, in the end with another server. Reads that wait at the same time
share one fence, and one question.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from .nats_link import Answer, Lost, NatsLink, Refused
from .nats_streams import Names, bad_store
from .rows import StoreFailure

__all__ = ["NatsReads", "Stored"]

AT_ONCE: Final = 1_000  # subjects in one question; a server gives up at 1,024 answers
BATCH_BYTES: Final = 8 << 20
BATCHES: Final = 16  # under way at a time, of all streams
BATCHES_EACH: Final = 2  # of one: that nobody answers for it does not hold up the others
FENCE_SECONDS: Final = 3_600  # time to live of a fence
ATTEMPT_SECONDS: Final = 3.0
READ_SECONDS: Final = 0.7  # of the first attempt to read: a server that is stopped may be asked
PATIENCE_WITH_A_REPLICA: Final = 2.0  # seconds that it may lag before another server is asked
NO_MESSAGE: Final = 10037

T = TypeVar("T")
_running: set[asyncio.Task[Any]] = set()  # else nobody but the loop, weakly, has them


@dataclass(frozen=True, slots=True)
class Stored:
    """The last message of a subject."""

    sequence: int
    data: bytes = field(repr=False)
    mark: str  # of the write it came with
    blanks: str | None  # for a blank: the mark of what it replaced


class _Behind(Exception):  # noqa: N818
    """A replica that has not yet got what was answered before."""


class NatsReads:
    """Reads from the streams of a relay."""

    def __init__(self, link: NatsLink, names: Names) -> None:
        self._link, self._names = link, names
        self._room = asyncio.Semaphore(BATCHES)
        self._fences: dict[int | None, _Fences] = {}

    async def last(
        self, stream: int | None, subjects: Sequence[str], deadline: float
    ) -> dict[str, Stored]:
        """The last message of each subject that has one. Raise `StoreFailure`."""
        if not subjects:
            return {}
        turn = self._fences_of(stream).turn(deadline)
        turn.subjects.update(dict.fromkeys(subjects))
        if turn.found is None:
            turn.found = _started(self._last(stream, turn))
        found = await _awaited(turn.found, deadline)
        return {subject: found[subject] for subject in subjects if subject in found}

    async def _last(self, stream: int | None, turn: _Turn) -> dict[str, Stored]:
        """What all who share a turn have asked for, and those whose fence was written meanwhile."""
        fence = await turn.fence
        turn.read = asyncio.get_running_loop().create_future()
        fences = self._fences_of(stream)
        fences.ready.append((fence, turn))
        if fences.readers < BATCHES_EACH:
            fences.readers += 1
            _started(self._read_on(stream, fences))
        return await turn.read

    async def _read_on(self, stream: int | None, fences: _Fences) -> None:
        """Read for all whose fence is written, until there are none."""
        try:
            while fences.ready:
                ready, fences.ready = fences.ready, []
                found: dict[str, Stored] = {}
                failure: Exception | None = None
                try:
                    found = await self._read(stream, ready)
                except Exception as error:  # passed on to each who waits for this reading
                    failure = error
                for _, turn in ready:
                    if turn.read is None or turn.read.done():
                        continue
                    if failure is None:
                        turn.read.set_result(found)
                    else:
                        turn.read.set_exception(failure)
        finally:
            fences.readers -= 1

    async def _read(
        self, stream: int | None, ready: Sequence[tuple[int, _Turn]]
    ) -> dict[str, Stored]:
        fence = max(fence for fence, _ in ready)
        deadline = max(turn.deadline for _, turn in ready)
        found: dict[str, Stored] = {}
        # After its fence nobody joins a turn.
        subjects = list(dict.fromkeys(one for _, turn in ready for one in turn.subjects))
        for start in range(0, len(subjects), AT_ONCE):
            left = subjects[start : start + AT_ONCE]
            while left:
                answers, more = await self._ask(stream, left, BATCH_BYTES, fence, deadline)
                for answer in answers:
                    found[answer.headers["Nats-Subject"]] = _stored(answer)
                left = [subject for subject in left if subject not in found] if more else []
        return found

    async def any(self, stream: int | None, patterns: Sequence[str], deadline: float) -> bool:
        """Whether there is any message under one of these patterns."""
        fence = await self._fence(stream, deadline)
        try:
            answers, more = await self._ask(stream, patterns, 1, fence, deadline)
        except Refused:  # more than the server will list
            return True
        return len(answers) + more > 0

    async def first(self, stream: int | None, subject: str, deadline: float) -> int | None:
        """The sequence of the first message of a subject."""
        return await self._message(stream, {"seq": 1, "next_by_subj": subject}, deadline)

    async def there(self, stream: int | None, sequence: int, deadline: float) -> bool:
        """Whether a message is still there."""
        return await self._message(stream, {"seq": sequence}, deadline) is not None

    async def check_time_to_live(self, stream: int | None, deadline: float) -> None:
        """Write a fence, which has a time to live, and see that it is stored with it.

        Raise `LocalError` (bad-store).
        """
        name = self._names.stream(stream)
        broken = f"stream {name}: time to live is ignored: rows would not go by themselves"
        try:
            fence = await self._fence(stream, deadline)
            reply = await self._link.api(f"STREAM.MSG.GET.{name}", {"seq": fence}, deadline)
        except Refused as refused:
            raise bad_store(f"{broken} ({refused})") from None
        headers = base64.b64decode(reply["message"].get("hdrs", ""))
        if f"\r\nNats-TTL: {FENCE_SECONDS}\r\n".encode() not in headers:
            raise bad_store(broken)

    async def _message(
        self, stream: int | None, request: dict[str, Any], deadline: float
    ) -> int | None:
        name = self._names.stream(stream)
        try:
            reply = await self._link.api(f"STREAM.MSG.GET.{name}", request, deadline)
        except Refused as refused:
            if refused.code == NO_MESSAGE:
                return None
            raise
        return int(reply["message"]["seq"])

    async def _fence(self, stream: int | None, deadline: float) -> int:
        return await _awaited(self._fences_of(stream).turn(deadline).fence, deadline)

    def _fences_of(self, stream: int | None) -> _Fences:
        fences = self._fences.get(stream)
        if fences is None:
            fences = self._fences[stream] = _Fences(self._link, self._names.fence(stream))
        return fences

    async def _ask(
        self, stream: int | None, subjects: Sequence[str], size: int, fence: int, deadline: float
    ) -> tuple[list[Answer], int]:
        """Messages, about `size` bytes of them, and how many more there are."""
        loop, pause, patience = asyncio.get_running_loop(), 0.002, READ_SECONDS
        # The fence is asked for as well: where nothing is found nothing says up to where that is.
        fence_subject = self._names.fence(stream)
        asked_for = {"multi_last": [*subjects, fence_subject], "max_bytes": size}
        request = json.dumps(asked_for).encode()
        subject = f"$JS.API.DIRECT.GET.{self._names.stream(stream)}"
        behind_since: float | None = None
        while True:
            await self._link.ready(deadline)
            try:
                async with (
                    asyncio.timeout_at(deadline),
                    self._room,
                    asyncio.timeout(patience),
                ):
                    answers = await (await self._link.ask_many(subject, request))
                messages, more = _checked(answers, fence)
                others = [m for m in messages if m.headers["Nats-Subject"] != fence_subject]
                return others, more - (len(others) == len(messages))
            except _Behind:
                now = loop.time()
                behind_since = behind_since or now
                if now - behind_since > PATIENCE_WITH_A_REPLICA:
                    await self._link.elsewhere()
                    behind_since = None
            except Refused:
                raise
            except TimeoutError:
                patience = min(ATTEMPT_SECONDS, 1.3 * patience)
            except (Lost, StoreFailure):
                pass
            if loop.time() + pause >= deadline:
                raise StoreFailure("no server can answer for all that was written")
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311
            pause = min(0.3, 2 * pause)


@dataclass(slots=True)
class _Turn:
    """Those who share a fence, and what they want to read after it."""

    fence: asyncio.Task[int]
    deadline: float  # loop time, of the latest of them
    subjects: dict[str, None] = field(default_factory=dict, repr=False)
    found: asyncio.Task[dict[str, Stored]] | None = None
    read: asyncio.Future[dict[str, Stored]] | None = None


class _Fences:
    """The fences of one stream. One is under way at a time; who comes meanwhile shares the next."""

    def __init__(self, link: NatsLink, subject: str) -> None:
        self._link, self._subject = link, subject
        self._under_way: asyncio.Task[int] | None = None
        self._next: _Turn | None = None
        self.ready: list[tuple[int, _Turn]] = []  # fences that were written, and not read after
        self.readers = 0

    def turn(self, deadline: float) -> _Turn:
        """A fence that is written after this is called."""
        if self._next is None:
            self._next = _Turn(_started(self._write(self._under_way, deadline)), deadline)
        self._next.deadline = max(self._next.deadline, deadline)
        return self._next

    async def _write(self, before: asyncio.Task[int] | None, deadline: float) -> int:
        if before is not None:
            await asyncio.wait([before])
        if self._next is not None:
            self._under_way, self._next = self._next.fence, None
        loop, pause = asyncio.get_running_loop(), 0.01
        while True:
            await self._link.ready(deadline)
            try:
                asked = await self._link.ask(self._subject, b"", {"Nats-TTL": str(FENCE_SECONDS)})
                async with asyncio.timeout_at(min(deadline, loop.time() + ATTEMPT_SECONDS)):
                    answer = (await asked)[0]
            except (Lost, StoreFailure, TimeoutError):
                answer = None
            if answer is not None and not answer.status:
                reply = json.loads(answer.data)
                error = reply.get("error")
                if error is None:
                    return int(reply["seq"])
                if error.get("code") != 503:
                    raise Refused(error.get("err_code", 0), error.get("description", ""))
            if loop.time() + pause >= deadline:
                raise StoreFailure("the servers do not answer")
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311
            pause = min(0.5, 2 * pause)


def _started(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task of several: that it failed is no fault if nobody waits any more."""
    task = asyncio.create_task(work)
    _running.add(task)
    task.add_done_callback(_running.discard)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def _awaited(task: asyncio.Task[T], deadline: float) -> T:
    """What a task of several comes to. Raise `StoreFailure`."""
    try:
        async with asyncio.timeout_at(deadline):
            return await asyncio.shield(task)
    except TimeoutError:
        raise StoreFailure("the servers do not answer") from None


def _checked(answers: list[Answer], fence: int) -> tuple[list[Answer], int]:
    """The messages of a batch, if it is whole and not behind the fence."""
    *messages, end = answers
    if end.status == "404":
        raise _Behind  # not even a fence has arrived there
    if end.status == "413":
        raise Refused(413, end.headers.get("Description", ""))
    if end.status != "204":
        raise StoreFailure(f"a read was answered with {end.status}")
    more = int(end.headers.get("Nats-Num-Pending", "0"))
    if int(end.headers.get("Nats-UpTo-Sequence", "0")) < fence:
        raise _Behind
    pending = [int(message.headers["Nats-Num-Pending"]) for message in messages]
    if pending != list(range(more + len(messages) - 1, more - 1, -1)):
        raise StoreFailure("part of an answer was lost")
    return messages, more


def _stored(message: Answer) -> Stored:
    headers = message.headers
    return Stored(
        int(headers["Nats-Sequence"]),
        message.data,
        headers.get("Nats-Msg-Id", ""),
        headers.get("Blank"),
    )
