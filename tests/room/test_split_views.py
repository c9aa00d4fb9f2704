"""Whoever sees another room, roster, policy, history or suite than the sender reads nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evanesce.chain import step
from evanesce.errors import Reason
from evanesce.membership import Mode, Role, context_hash
from evanesce.message import seal_message
from tests.room.room_support import NOW, World, refused, said, sending_chain, state_of
from tests.room.test_messages import MODES, header_of, pair


@pytest.mark.parametrize("differs", ["nothing", "suite", "room", "policy", "roster", "transcript"])
@pytest.mark.parametrize("mode", MODES)
def test_a_message_opens_in_one_view_of_the_room_only(mode: Mode, differs: str) -> None:
    """ann has all the keys that bob has, and sees one thing differently."""
    world = pair(mode) if mode is Mode.DIRECT else World("ann", "bob", "cid")
    state = state_of(world["ann"])
    epoch = state.epoch
    bob = world["bob"].own_id
    view: dict[str, Any] = {
        "suite": state.suite, "room": state.id, "policy": epoch.policy,
        "roster": epoch.roster.encode(), "transcript": epoch.transcript,
    }  # fmt: skip
    others: dict[str, Any] = {
        "nothing": None,
        "suite": replace(state.suite, number=2),
        "room": b"x" * 32,
        "policy": replace(epoch.policy, members_may_add=True),
        "roster": epoch.roster.change(bob, role=Role.ADMIN).encode(),
        "transcript": epoch.transcript[:8] + bytes(24),  # the same prefix
    }
    if differs != "nothing":
        assert others[differs] != view[differs]
        view[differs] = others[differs]
    _, message_key = step(sending_chain(world["ann"]).key.reveal())
    signing = epoch.room_sign if mode is Mode.SIGNED else None
    sealed = seal_message(
        header_of(world, "ann"), context_hash(*view.values()), message_key, said("hello").encode(),
        bytes(16), None if signing is None else signing.reveal(),
    )  # fmt: skip
    if differs == "nothing":
        assert world["bob"].receive(sealed.message, NOW).content == said("hello")
        return
    reason = Reason.BAD_COMMITMENT if mode is Mode.DIRECT else Reason.BAD_SIGNATURE
    with refused(reason, world["bob"]):
        world["bob"].receive(sealed.message, NOW)
    assert world.body("bob", world.send("ann", "as agreed")) == "as agreed"
