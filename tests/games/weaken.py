"""How an implementation is weakened for a while: functions replaced wherever they are used."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

import evanesce.room
from evanesce.room import Room
from evanesce.state import RoomState
from evanesce.wire import encode

Function = Callable[..., Any]


class Weakened:
    """Replaces parts of the library until the end of a test."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.working: RoomState | None = None  # the state that commits, applies, or sends now
        self._left: dict[tuple[bytes, bytes], list[bytes]] = defaultdict(list)

    def function(self, old: Function, new: Function) -> None:
        """Replace a function in every module of the library that has imported it."""
        found = 0
        for name, module in list(sys.modules.items()):
            if name.startswith("evanesce"):
                for key, value in list(vars(module).items()):
                    if value is old:
                        self._patch.setattr(module, key, new)
                        found += 1
        assert found, f"{old} is used nowhere"

    def within(self, module: Any, name: str, new: Function) -> None:
        """Replace a function in one module only."""
        self._patch.setattr(module, name, new)

    def method(self, owner: type, name: str, wrap: Callable[[Function], Function]) -> None:
        """Wrap a method of a class."""
        kind = vars(owner)[name]
        old = getattr(owner, name)
        if isinstance(kind, classmethod):
            inner = kind.__func__
            self._patch.setattr(owner, name, classmethod(wrap(inner)))
        else:
            self._patch.setattr(owner, name, wrap(old))

    def around(self, *functions: Function) -> None:
        """Note which room's state these functions work on, while they do."""
        for old in functions:
            self.function(old, self._noting(old))

    def _noting(self, old: Function) -> Function:
        def noting(state: RoomState, *rest: Any, **more: Any) -> Any:
            before, self.working = self.working, state
            try:
                return old(state, *rest, **more)
            finally:
                self.working = before

        return noting

    def keep(self, secret: bytes, *, of: RoomState | None = None) -> None:
        """Let a device keep what it should erase: it is in its state from now on."""
        state = of or self.working
        if state is not None:
            self._left[state.id, state.own].append(secret)

    def show_what_is_kept(self) -> None:
        """Put what `keep` was given among the records of its room."""
        left = self._left

        def wrap(old: Function) -> Function:
            def records(room: Room) -> dict[bytes, bytes]:
                whole: dict[bytes, bytes] = dict(old(room))
                whole[b"left over"] = encode([left[room.id, room.own_id]])
                return whole

            return records

        self.method(evanesce.room.Room, "records", wrap)
