"""The requests that a ledger tells of, each with what became of it: the ledger, read as a state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...errors import LocalError, Reason
from .entries import Entry, LedgerTampered

__all__ = ["Answer", "Request", "Requests"]


@dataclass(slots=True)
class Answer:
    """An answer about one mailbox: entry `disclosed`."""

    entry: int
    head: bytes  # hash of that entry
    hour: int
    with_data: bool
    with_envelopes: bool
    subject: str
    again: int | None  # the entry of the answer that it replaces
    gagged: bool  # whether an order has held before the mailbox was told
    told: bool = False  # entry `notified` or `not_notified`


@dataclass(slots=True)
class Request:
    """A request of an authority."""

    number: int
    jurisdiction: str
    category: str
    accounts: int  # as it came
    hour: int  # of its entry
    received: str
    reference: str | None
    allowed: int  # accounts, as narrowed
    narrowed: bool = False
    rejected: bool = False
    gag_until: int | None = None  # the hour from which the gag order no longer holds
    gagged_from: int | None = None
    answers: list[Answer] = field(default_factory=list)

    def gagged(self, hour: int) -> bool:
        """Whether a gag order holds in that hour."""
        return self.gag_until is not None and hour < self.gag_until

    @property
    def answered(self) -> bool:
        """Whether anything has been answered yet."""
        return bool(self.answers)

    @property
    def pending(self) -> bool:
        """Whether it is neither answered nor rejected."""
        return not self.answered and not self.rejected

    @property
    def accounts_answered(self) -> int:
        """About how many accounts it has been answered."""
        return sum(answer.again is None for answer in self.answers)

    def check_answerable(self) -> None:
        """Raise `LocalError` (bad-input) unless it may be answered about one more account now."""
        _need(not self.rejected, self, "was rejected")
        _need(self.accounts_answered < self.allowed, self,
              f"is for {self.allowed} accounts, all of which are answered")  # fmt: skip

    def check_replaceable(self, entry: int, subject: str) -> None:
        """Raise `LocalError` (bad-input) unless the answer in that entry was about this subject.

        So an answer that is given again is about the same mailbox, as everybody can see.
        """
        _need(any((answer.entry, answer.subject) == (entry, subject) for answer in self.answers),
              self, f"has no answer about this mailbox in entry {entry}")  # fmt: skip

    def gag_the_untold(self) -> None:
        """An order holds: those who are not told yet will be told that there was one."""
        for answer in self.answers:
            answer.gagged = answer.gagged or not answer.told


class Requests:
    """All requests by number. `apply` refuses what cannot follow on what was before."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Raise `LedgerTampered` if the entries tell no possible history."""
        self.all: dict[int, Request] = {}
        self.reported = 0  # the first hour that no report of a whole period has counted yet
        for entry in entries:
            try:
                self.apply(entry)
            except LocalError as error:
                raise LedgerTampered(f"entry {entry.sequence}: {error.detail}") from None

    def get(self, number: int) -> Request:
        """Raise `LocalError` (bad-input) if there is no such request."""
        try:
            return self.all[number]
        except KeyError:
            raise _refused(f"there is no request {number}") from None

    def untold(self) -> dict[int, tuple[Request, Answer]]:
        """Answers whose mailbox has not been notified yet, by the number of their entry."""
        return {
            answer.entry: (request, answer)
            for request in self.all.values()
            for answer in request.answers
            if not answer.told
        }

    def apply(self, entry: Entry) -> None:
        """Take one more entry. Raise `LocalError` (bad-input), changing nothing."""
        body = entry.body
        if entry.kind in {"torn", "lost"}:
            return
        if entry.kind == "reported":
            if not self.reported < body["until"] <= entry.hour:
                raise _refused("that period was reported already, or is not over")
            self.reported = body["until"]
            return
        if entry.kind == "received":
            self._receive(entry, body)
            return
        request = self.get(body["request"])
        match entry.kind:
            case "narrowed":
                _need(request.pending, request, "is answered or rejected already")
                _need(body["accounts"] <= request.allowed, request, "cannot grow by narrowing")
                request.allowed, request.narrowed = body["accounts"], True
            case "rejected":
                _need(request.pending, request, "is answered or rejected already")
                request.rejected = True
            case "disclosed":
                self._disclose(request, entry, body)
            case "gag_imposed":
                _need(not request.gagged(entry.hour), request, "is under a gag order: extend it")
                _need(body["until"] > entry.hour, request, "gets a gag order that has ended")
                request.gag_until, request.gagged_from = body["until"], entry.hour
                request.gag_the_untold()
            case "gag_extended":
                _need(request.gagged(entry.hour), request, "is under no gag order")
                assert request.gag_until is not None
                _need(body["until"] > request.gag_until, request, "has a gag order as long as that")
                request.gag_until = body["until"]
            case "gag_lifted":
                _need(request.gagged(entry.hour), request, "is under no gag order")
                request.gag_until = entry.hour
            case _:
                self._tell(request, entry, body)

    def _receive(self, entry: Entry, body: dict[str, Any]) -> None:
        if body["request"] != len(self.all) + 1:
            raise _refused("requests are numbered in their order")
        self.all[body["request"]] = Request(
            body["request"], body["jurisdiction"], body["category"], body["accounts"], entry.hour,
            body["received"], body["reference"], body["accounts"],
        )  # fmt: skip

    def _disclose(self, request: Request, entry: Entry, body: dict[str, Any]) -> None:
        if body["again"] is None:
            request.check_answerable()
        else:
            request.check_replaceable(body["again"], body["subject"])
        request.answers.append(Answer(
            entry.sequence, entry.hash, entry.hour, body["with_data"], body["with_envelopes"],
            body["subject"], body["again"], request.gagged(entry.hour),
        ))  # fmt: skip

    def _tell(self, request: Request, entry: Entry, body: dict[str, Any]) -> None:
        found = [answer for answer in request.answers if answer.entry == body["entry"]]
        _need(bool(found), request, f"has no answer in entry {body['entry']}")
        _need(not found[0].told, request, "has told the mailbox of that already")
        _need(not request.gagged(entry.hour), request, "is under a gag order")
        found[0].told = True


def _refused(detail: str) -> LocalError:
    return LocalError(Reason.BAD_INPUT, detail)


def _need(holds: bool, request: Request, otherwise: str) -> None:
    if not holds:
        raise _refused(f"request {request.number} {otherwise}")
