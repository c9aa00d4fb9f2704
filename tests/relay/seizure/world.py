"""A population of rooms that uses a relay for three days, and the truth about it.

A world is a list of events in the order of time, made from a seed and from nothing else: the same
one can be played to any relay. What an attacker has to guess, which mailboxes share a room or an
owner, is kept aside in `World.boxes`.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass

from evanesce.envelope import envelope_size

from .happenings import (
    Box,
    Claim,
    Event,
    GetBlob,
    Make,
    Publish,
    Put,
    PutBlob,
    Read,
    Remove,
    Tick,
    World,
)

HOURS = 76  # of which the last 72 count: the first are those in which the oldest rooms are made
_HOUR = 3600.0
START = 494_208 * 3600  # midnight UTC, 47 days after the beginning of a quarter of a year


def _bytes(*parts: object, size: int = 32) -> bytes:
    return hashlib.shake_256(repr(parts).encode()).digest(size)


class _Person:
    """When somebody's device is connected. `never` ones only make mailboxes."""

    def __init__(self, draw: random.Random, hours: int) -> None:
        kind = draw.choices(["always", "daily", "rarely", "never"], [35, 45, 15, 5])[0]
        self.windows: list[tuple[float, float]] = []
        self.contact = -1
        end = hours * _HOUR
        at = 0.0
        if kind == "always":
            self.windows = [(0.0, end)]
        while kind in {"daily", "rarely"} and at < end:
            hour = at / _HOUR % 24
            awake = 8 <= hour < 24
            gap = draw.expovariate(1 / ((1.5 if awake else 6) * (1 if kind == "daily" else 9)))
            length = draw.lognormvariate(-1.0, 0.8)
            self.windows.append((at + gap * _HOUR, at + (gap + length) * _HOUR))
            at += (gap + length) * _HOUR

    def online(self, at: float) -> float | None:
        """When it is connected, from `at` on."""
        for begin, end in self.windows:
            if end > at:
                return max(begin, at)
        return None


@dataclass(slots=True)
class _Room:
    number: int
    begin: float
    members: dict[int, int]  # person: box
    rate: float  # conversations an hour, by day


class _Maker:
    def __init__(self, seed: int, rooms: int, activity: float, hours: int, start: int) -> None:
        self.draw = random.Random(seed)
        self.start = start
        self.seed, self.hours, self.activity = seed, hours, activity
        self.world = World(rooms=rooms)
        self.heap: list[tuple[float, int, Event]] = []
        self.plans: list[tuple[float, int, str, int]] = []
        self.reading: dict[int, float] = {}
        self.gone: set[int] = set()
        self.messages = self.blobs = self.count = 0
        self.people = [_Person(self.draw, hours) for _ in range(max(60, rooms * 2))]
        self.rooms: list[_Room] = []

    def at(self, time: float, event: Event) -> None:
        self.count += 1
        heapq.heappush(self.heap, (time, self.count, event))

    def box(self, owner: int, room: int | None, time: float) -> int:
        number = len(self.world.boxes)
        address = _bytes(self.seed, "address", number)
        capability = _bytes(self.seed, "capability", number, size=16)
        self.world.boxes.append(Box(number, owner, room, address, capability))
        self.at(time, Make(number))
        return number

    def send(self, time: float, boxes: Iterable[int], least: int) -> None:
        """One message to many; then each receiver reads when it is next connected."""
        self.messages += 1
        copies = tuple(
            (box, _bytes(self.seed, "id", self.messages, box, size=16))
            for box in boxes
            if box not in self.gone
        )
        # A batch is bounded by the size of a request, so that a large fan-out takes several.
        size = envelope_size(least)
        share = max(1, min(256, 3_500_000 // size))
        for start in range(0, len(copies), share):
            self.at(time + start / 100, Put(self.messages, size, copies[start : start + share]))
        for box, _ in copies:
            online = self.people[self.world.boxes[box].owner].online(time)
            if online is None:
                continue
            due = online + self.draw.uniform(0.5, 4)
            if self.reading.get(box, -1.0) < time:
                self.reading[box] = due
                self.at(due, Read(box))

    # Rooms

    def found(self, number: int, time: float) -> None:
        """A room is made: packages are claimed, invitations sent, mailboxes made in seconds."""
        draw = self.draw
        size = min(50, max(2, round(draw.lognormvariate(1.75, 0.85))))
        if number < 3:
            size = (50, 2, 30)[number]
        people = draw.sample(range(len(self.people)), min(size, len(self.people)))
        later = draw.randint(0, max(0, size // 4)) if size > 3 else 0
        rate = self.activity * draw.lognormvariate(-1.6, 1.1)
        room = _Room(number, time, {}, rate)
        founder, *others = people
        first = others[: len(others) - later] or others
        for person in first:
            self.at(time + draw.uniform(0, 1), Claim(person))
        room.members[founder] = self.box(founder, number, time + 1)
        if size > 10:
            self.share(time + 1.5, 300 * size, first)
        self.send(time + 2, [self.people[p].contact for p in first], 1_000 + 250 * size)
        for person in first:
            room.members[person] = self.box(person, number, time + draw.uniform(3, 9))
        for person in room.members:
            if self.people[person].online(time) == time:
                self.tell(room, person, time + draw.uniform(10, 14), 700)
        for person in others[len(first) :]:
            self.plans.append((draw.uniform(time, self.hours * _HOUR), number, "join", person))
        if size > 3 and draw.random() < 0.35:
            self.plans.append((draw.uniform(time, self.hours * _HOUR), number, "remove", 0))
        self.rooms.append(room)
        self.talk(room, time)

    def tell(self, room: _Room, person: int, time: float, least: int) -> None:
        self.send(time, [box for p, box in room.members.items() if p != person], least)

    def share(self, time: float, size: int, people: Iterable[int]) -> None:
        """A blob is put and fetched."""
        self.blobs += 1
        number = self.blobs
        self.at(time, PutBlob(number, min(size, 1_000_000)))
        for person in people:
            online = self.people[person].online(time + 2)
            if online is not None:
                self.at(online + self.draw.uniform(1, 6), GetBlob(number))

    def talk(self, room: _Room, begin: float) -> None:
        """Conversations: bursts of messages, by day mostly."""
        draw = self.draw
        time = begin + 20
        while True:
            time += draw.expovariate(max(room.rate, 0.02)) * _HOUR
            if time >= self.hours * _HOUR - 60:
                return
            if not 8 <= time / _HOUR % 24 < 24 and draw.random() < 0.85:
                continue
            self.plans.append((time, room.number, "talk", 0))

    def burst(self, room: _Room, time: float) -> None:
        draw = self.draw
        speakers = draw.sample(sorted(room.members), min(len(room.members), 3))
        for _ in range(1 + min(6, int(draw.expovariate(0.6)))):
            least = draw.choices([300, 900, 1800, 3500, 7000], [62, 22, 9, 5, 2])[0]
            speaker = draw.choice(speakers)
            if draw.random() < 0.03:
                self.share(time, int(draw.lognormvariate(10, 1)), room.members)
            if draw.random() < 0.03:
                least = 900 + 120 * len(room.members)  # a commit: slots for all
            self.tell(room, speaker, time, least)
            time += draw.expovariate(1 / 25)

    def join(self, room: _Room, person: int, time: float) -> None:
        size = len(room.members)
        self.at(time, Claim(person))
        self.send(time + 1, [self.people[person].contact], 1_000 + 250 * size)
        self.send(time + 1, room.members.values(), 1_500 + 120 * size)
        room.members[person] = self.box(person, room.number, time + self.draw.uniform(2, 5))
        self.tell(room, person, time + 7, 700)

    def remove(self, room: _Room, time: float) -> None:
        """A member goes; the others make new mailboxes at once, tell, and drop the old ones."""
        if len(room.members) < 3:
            return
        draw = self.draw
        gone = draw.choice(sorted(room.members))
        old = dict(room.members)
        del room.members[gone]
        self.tell(room, gone, time, 900 + 120 * len(old))
        for person in room.members:
            if self.people[person].online(time) is not None:
                room.members[person] = self.box(person, room.number, time + draw.uniform(1, 8))
                drained = time + 30 + draw.expovariate(1 / (4 * _HOUR))
                self.at(drained, Remove(old[person]))
                self.gone.add(old[person])
        for person in room.members:
            self.tell(room, person, time + draw.uniform(10, 15), 700)

    def renew(self) -> None:
        """Whoever connects makes all mailboxes again, and once a day whoever stays connected."""
        made = {event.box: time for time, _, event in self.heap if isinstance(event, Make)}
        lost = {event.box: time for time, _, event in self.heap if isinstance(event, Remove)}
        own: dict[int, list[int]] = {}
        for box in self.world.boxes:
            own.setdefault(box.owner, []).append(box.number)
        for owner, boxes in own.items():
            starts = [begin for begin, _ in self.people[owner].windows]
            if starts == [0.0]:
                first = self.draw.uniform(0, 24 * _HOUR)
                starts = [first + day * 24 * _HOUR for day in range(4)]
            for time in starts:
                for number in boxes:
                    if made[number] < time < lost.get(number, 1e18):
                        self.at(time, Make(number))

    # The whole

    def make(self) -> World:
        """Make it."""
        draw, end = self.draw, self.hours * _HOUR
        for number, someone in enumerate(self.people):
            time = draw.uniform(0, 600)
            someone.contact = self.box(number, None, time)
            self.at(time + 1, Publish(number, draw.randint(1, 4)))
        crowd = end - 9 * _HOUR  # an hour in which many rooms are made
        rooms = self.world.rooms
        for number in range(rooms):
            kind = draw.random()
            time = (draw.uniform(700, 4 * _HOUR) if kind < 0.45
                    else draw.uniform(4 * _HOUR, end - _HOUR) if kind < 0.8
                    else draw.uniform(crowd, crowd + 0.4 * _HOUR))  # fmt: skip
            self.plans.append((time, number, "found", 0))
        self.plans.sort()
        pending = self.plans
        heapq.heapify(pending)
        rooms_by_number: dict[int, _Room] = {}
        while pending:
            time, number, what, person = heapq.heappop(pending)
            self.plans = []
            if what == "found":
                self.found(number, time)
                rooms_by_number[number] = self.rooms[-1]
            elif what == "talk":
                self.burst(rooms_by_number[number], time)
            elif what == "join" and person not in rooms_by_number[number].members:
                self.join(rooms_by_number[number], person, time)
            elif what == "remove":
                self.remove(rooms_by_number[number], time)
            for plan in self.plans:
                heapq.heappush(pending, plan)
        for hour in range(1, self.hours):
            self.at(hour * _HOUR + 20, Tick())
        self.renew()
        for room in draw.sample(self.rooms, 2):
            self.at(room.begin + 90, Tick())
        events = [heapq.heappop(self.heap) for _ in range(len(self.heap))]
        self.world.events = [(self.start + math.floor(t), e) for t, _, e in events if t < end]
        newest = max(room.begin for room in self.rooms)
        busy = draw.uniform(crowd + 2 * _HOUR, end - 2 * _HOUR)
        self.world.seizures = [
            self.start + int(t)
            for t in sorted([
                draw.uniform(0.25 * end, 0.8 * end),
                crowd + 0.41 * _HOUR,  # just after a crowd of rooms was made
                newest + 12,  # seconds after one was
                busy,
            ])
        ]
        return self.world


def make_world(
    seed: int, rooms: int, *, activity: float = 1.0, hours: int = HOURS, start: int = START
) -> World:
    """A world of so many rooms of 2 to 50 members. `activity` scales how much is said."""
    return _Maker(seed, rooms, activity, hours, start).make()
