"""Relays against a model that any child could keep: a set of ids for each mailbox.

One relay; and two on one store, that take turns, run at once, are restarted, and whose store fails
before or after it has done what it was asked to.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from evanesce.errors import Reason, RemoteError
from evanesce.limits import HOUR
from evanesce.relay import boxes as boxes_module
from evanesce.relay.memory_rows import MemoryRows
from evanesce.relay.relay import Cursor, Posted, Recalled, Relay
from tests.relay.relay_support import Bench, Box, all_of, put

FULL = 5  # envelopes in a mailbox
RETENTION = 72
EXAMPLES = 300 if os.environ.get("EVANESCE_PROFILE") == "long" else 25
T = TypeVar("T")

IDS = [bytes([n]) * 16 for n in range(9)]
boxes = st.integers(0, 2)
ids = st.sampled_from(IDS)
relays = st.integers(0, 7)
faults = st.sampled_from([None] * 6 + ["add", "blank", "read", "bucket", "swap", "usage"])


@dataclass
class Model:
    """What a mailbox should hold: ids with the hour until which they wait, or are known."""

    box: Box = field(default_factory=Box)
    exists: bool = False
    waits: dict[bytes, int] = field(default_factory=dict)
    known: dict[bytes, int] = field(default_factory=dict)

    def put(self, item: bytes, hour: int) -> Reason | None:
        if not self.exists:
            return Reason.UNKNOWN_MAILBOX
        if item in self.known:
            return None
        if len(self.waits) >= FULL:
            return Reason.MAILBOX_FULL
        self.waits[item] = self.known[item] = hour + RETENTION
        return None

    def recall(self, item: bytes, hour: int) -> Reason | None:
        if not self.exists:
            return Reason.UNKNOWN_MAILBOX
        self.waits.pop(item, None)
        self.known.setdefault(item, hour + RETENTION)
        return None

    def pass_to(self, hour: int) -> None:
        for which in (self.waits, self.known):
            for item in [item for item, until in which.items() if until <= hour]:
                del which[item]


class OneRelay(RuleBasedStateMachine):
    """All that a relay does with mailboxes, with one process."""

    count = 1

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.patches: list[Any] = [
            mock.patch.object(boxes_module, "MAILBOX_ENVELOPES", FULL),
            mock.patch.object(boxes_module, "_RECOUNT_SECONDS", -1.0),
            mock.patch("os.fsync"),  # only the order of things counts here
        ]
        for patch in self.patches:
            patch.start()
        self.bench = Bench(Path(self.folder.name), MemoryRows(shared=self.count > 1, pause=True))
        self.models = [Model() for _ in range(3)]
        self.cursors: dict[tuple[int, int], tuple[Cursor, set[bytes]]] = {}

    def teardown(self) -> None:
        for patch in self.patches:
            patch.stop()
        self.loop.close()
        self.folder.cleanup()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        async def settled() -> T:
            try:
                return await work
            finally:
                await asyncio.sleep(0)  # wakes have been heard

        return self.loop.run_until_complete(settled())

    @initialize()
    def begin(self) -> None:
        self.relays: list[Relay] = [self.run(self.bench.relay()) for _ in range(self.count)]

    def relay(self, number: int) -> Relay:
        return self.relays[number % self.count]

    @property
    def hour(self) -> int:
        return self.bench.clock.hour()

    def tried(self, fault: str | None, vague: bool, work: Coroutine[Any, Any, Any]) -> None:
        """Do something whose store fails; whoever asked does not know what happened."""
        if fault is None:
            work.close()
            return
        failing = self.bench.rows.vague if vague else self.bench.rows.failing
        failing.add(fault)
        try:
            self.run(work)
        except RemoteError as error:
            assert error.reason in (Reason.RELAY_BUSY, Reason.UNKNOWN_MAILBOX)
        finally:
            failing.clear()

    @rule(box=boxes, relay=relays, fault=faults, vague=st.booleans())
    def make(self, box: int, relay: int, fault: str | None, vague: bool) -> None:
        model, at = self.models[box], self.relay(relay)
        self.tried(fault, vague, at.make_mailbox(model.box.address, model.box.hash))
        self.run(at.make_mailbox(model.box.address, model.box.hash))
        model.exists = True

    @rule(box=boxes, relay=relays, fault=faults, vague=st.booleans())
    def remove(self, box: int, relay: int, fault: str | None, vague: bool) -> None:
        model, at = self.models[box], self.relay(relay)
        self.tried(fault, vague, at.remove_mailbox(model.box.address))
        self.run(at.remove_mailbox(model.box.address))
        model.exists = False
        model.waits.clear()

    @rule(wanted=st.lists(st.tuples(boxes, ids), min_size=1, max_size=6), relay=relays,
          fault=faults, vague=st.booleans())  # fmt: skip
    def put(self, wanted: list[tuple[int, bytes]], relay: int, fault: str | None,
            vague: bool) -> None:  # fmt: skip
        items = [Posted(self.models[box].box.address, self.models[box].box.capability, item,
                        b"sealed " + item) for box, item in wanted]  # fmt: skip
        at = self.relay(relay)
        self.tried(fault, vague, at.put(items))
        outcomes = self.run(at.put(items))
        assert outcomes == [self.models[box].put(item, self.hour) for box, item in wanted]

    @rule(box=boxes, item=ids, relay=relays)
    def put_without_the_right(self, box: int, item: bytes, relay: int) -> None:
        model = self.models[box]
        outcome = self.run(self.relay(relay).put(
            [Posted(model.box.address, bytes(16), item, b"forged")]))  # fmt: skip
        wanted = Reason.NOT_PERMITTED if model.exists else Reason.UNKNOWN_MAILBOX
        assert outcome == [wanted]

    @rule(wanted=st.lists(st.tuples(boxes, ids), min_size=1, max_size=4), relay=relays,
          fault=faults, vague=st.booleans())  # fmt: skip
    def recall(self, wanted: list[tuple[int, bytes]], relay: int, fault: str | None,
               vague: bool) -> None:  # fmt: skip
        items = [Recalled(self.models[box].box.address, self.models[box].box.capability, item)
                 for box, item in wanted]  # fmt: skip
        at = self.relay(relay)
        self.tried(fault, vague, at.recall(items))
        outcomes = self.run(at.recall(items))
        assert outcomes == [self.models[box].recall(item, self.hour) for box, item in wanted]

    @rule(box=boxes, some=st.lists(ids, min_size=1, max_size=4), relay=relays, fault=faults,
          vague=st.booleans())  # fmt: skip
    def ack(self, box: int, some: list[bytes], relay: int, fault: str | None,
            vague: bool) -> None:  # fmt: skip
        model, at = self.models[box], self.relay(relay)
        self.tried(fault, vague, at.ack(model.box.address, some))
        self.run(at.ack(model.box.address, some))
        for item in some:
            model.waits.pop(item, None)

    @rule(box=boxes, relay=relays, fault=faults)
    def fetch(self, box: int, relay: int, fault: str | None) -> None:
        model, at = self.models[box], self.relay(relay)
        self.tried(fault, False, all_of(at, model.box))
        try:
            found = self.run(all_of(at, model.box))
        except RemoteError as error:
            assert (error.reason, model.exists) == (Reason.UNKNOWN_MAILBOX, False)
            return
        assert model.exists
        assert {item.id for item in found} == set(model.waits)
        assert len(found) == len(model.waits)
        assert all(item.data == b"sealed " + item.id for item in found)
        until = [model.waits[item.id] for item in found]
        assert until == sorted(until), "the oldest hour first"

    @rule(box=boxes, relay=relays, envelopes=st.integers(0, 3), octets=st.integers(0, 50))
    def follow(self, box: int, relay: int, envelopes: int, octets: int) -> None:
        """A reader that stays is given each envelope once, within its credit."""
        model, number = self.models[box], relay % self.count
        cursor, seen = self.cursors.setdefault((number, box), (Cursor(), set()))
        if not model.exists:
            return
        work = self.relays[number].fetch(model.box.address, cursor, envelopes, octets)
        given = [item.id for item in self.run(work)]
        assert len(set(given)) == len(given) <= envelopes
        assert len(given) <= 1 or 23 * (len(given) - 1) < octets
        assert not seen & set(given) & set(model.waits)
        assert set(given) <= set(model.waits)
        left = set(model.waits) - seen
        assert given or not (left and envelopes and octets)
        seen.difference_update(set(IDS) - set(model.known))  # ids that may come anew
        seen.update(given)

    @rule(hours=st.integers(1, 40), minutes=st.integers(0, 59), ticked=st.booleans())
    def time(self, hours: int, minutes: int, ticked: bool) -> None:
        self.bench.clock.advance(hours * HOUR + minutes * 60)
        for model in self.models:
            model.pass_to(self.hour)
        if ticked:
            for relay in self.relays:
                self.run(relay.tick())
            assert all(place.hour > self.hour for place in self.bench.rows.rows)

    @rule(relay=relays)
    def restart(self, relay: int) -> None:
        number = relay % self.count
        self.run(self.relays[number].stop())
        self.relays[number] = self.run(self.bench.relay())
        for box in range(3):
            self.cursors.pop((number, box), None)

    @rule(box=boxes, some=st.lists(ids, min_size=1, max_size=3, unique=True),
          others=st.lists(ids, min_size=1, max_size=3, unique=True))  # fmt: skip
    def put_at_once(self, box: int, some: list[bytes], others: list[bytes]) -> None:
        """Several puts to one mailbox at the same time, at as many relays as there are."""
        model = self.models[box]

        async def both() -> list[list[Reason | None]]:
            first, last = self.relays[0], self.relays[-1]
            return list(await asyncio.gather(
                put(first, model.box, *some), put(last, model.box, *others),
                put(last, model.box, *some),
            ))  # fmt: skip

        outcomes = self.run(both())
        there = {item for given, wanted in zip(outcomes, (some, others, some), strict=True)
                 for item, outcome in zip(wanted, given, strict=True)
                 if outcome is None}  # fmt: skip
        for item in {*some, *others}:
            if item in there:
                assert model.put(item, self.hour) is None
        for item in {*some, *others} - there:
            wanted = model.put(item, self.hour)
            assert wanted in (Reason.MAILBOX_FULL, Reason.UNKNOWN_MAILBOX)

    @rule(box=boxes, item=ids)
    def put_and_recall_at_once(self, box: int, item: bytes) -> None:
        """Whoever was first, it is not there in the end."""
        model = self.models[box]

        async def both() -> None:
            await asyncio.gather(
                put(self.relays[0], model.box, item),
                self.relays[-1].recall([model.box.recalled(item)]),
            )

        self.run(both())
        model.recall(item, self.hour)


class TwoRelays(OneRelay):
    """The same with two processes on one store."""

    count = 2


@pytest.mark.parametrize("machine", [OneRelay, TwoRelays])
def test_relays_do_what_the_model_says(machine: type[OneRelay]) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
    )
