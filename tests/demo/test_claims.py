"""The demo's claims hold, and breaking the code makes them fail: the attack is a real one."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from evanesce import engine, group, inbox, state
from evanesce.chain import ReceivingChain, SendingChain
from evanesce.cli import main
from evanesce.demo.play import Outcome, play
from evanesce.demo.script import parse_script
from evanesce.epoch import seal_slot
from evanesce.formats import COMMIT_COPY
from evanesce.keypackage import KeyPackageKeys
from evanesce.ledger import Recipient
from evanesce.membership import Member
from evanesce.ports import Transaction

SCRIPT = b"""
== Two
Mina: the first secret
Jun: the second secret
Jun: and a third
Mina: last one here

== Three and more
+Mina
+Jun
+Sora
Mina: before Dan came
Jun: also before
+Dan
Dan: I am here now
Sora: welcome Dan
-Jun
Mina: Jun is gone
Dan: really gone
"""


def run(script: bytes = SCRIPT) -> Outcome:
    return asyncio.run(play(parse_script(script), "test"))


def failed(outcome: Outcome) -> set[str]:
    return {claim.id for claim in outcome.claims if not claim.holds}


def test_every_claim_holds() -> None:
    outcome = run()
    assert failed(outcome) == set()
    assert [claim.id for claim in outcome.claims] == [
        "delivered", "agreed", "opaque", "control", "evaporated", "joined:Dan", "removed:Jun",
    ]  # fmt: skip
    assert outcome.ok


Break = Callable[[pytest.MonkeyPatch], None]


def erase_nothing(patch: pytest.MonkeyPatch) -> None:
    """Evaporation forgets the record's deadline but leaves the record."""

    def erase(self: inbox.Inbox, tx: Transaction, message: bytes) -> None:
        self._deadlines.pop(message, None)

    patch.setattr(inbox.Inbox, "erase", erase)


def keep_read_keys(patch: pytest.MonkeyPatch) -> None:
    """A chain keeps its key instead of stepping past a message it has read."""
    original = ReceivingChain.at

    def at(self: ReceivingChain, index: int, now: int) -> tuple[bytes, ReceivingChain]:
        message_key, after = original(self, index, now)
        return message_key, replace(after, key=self.key, index=self.index)

    patch.setattr(ReceivingChain, "at", at)


def keep_prekeys(patch: pytest.MonkeyPatch) -> None:
    """A joined invitation's one-time prekey is not erased."""
    patch.setattr(KeyPackageKeys, "without", lambda self, index: self)


def keep_the_committers_init(patch: pytest.MonkeyPatch) -> None:
    """``init[e, committer]`` and the leaf keys outlive the commit that consumed them."""
    original = state.RoomState.enter

    def enter(
        self: state.RoomState, epoch: state.Epoch, sending: SendingChain | None, now: int
    ) -> None:
        parent = self.epochs.get(self.current)
        kept = None if parent is None else (dict(parent.inits), parent.leaf)
        original(self, epoch, sending, now)
        if parent is not None and kept is not None:
            parent.inits, parent.leaf = kept

    patch.setattr(state.RoomState, "enter", enter)


def give_the_removed_a_slot(patch: pytest.MonkeyPatch) -> None:
    """A removed member's copy of the commit carries the fresh secret after all."""
    slots: dict[str, tuple[bytes, bytes, bytes, bytes]] = {}

    def seal(
        r: bytes, ephemeral: bytes, commit: bytes, ephemeral_key: bytes, member: bytes, leaf: bytes
    ) -> bytes:
        slots["last"] = r, ephemeral, commit, ephemeral_key
        return seal_slot(r, ephemeral, commit, ephemeral_key, member, leaf)

    patch.setattr(group, "seal_slot", seal)
    original = engine.Engine.post_to

    def post_to(
        self: engine.Engine,
        tx: Transaction,
        room: bytes,
        contact: state.Contact | None,
        member: Member,
        payload: bytes,
        report: bytes,
    ) -> Recipient:
        if payload[2] == COMMIT_COPY.type:
            sealed, slot = COMMIT_COPY.parse(payload)
            if slot is None:
                slot = seal_slot(*slots["last"], member.id, member.credential.leaf_key)
                payload = COMMIT_COPY.build(sealed, slot)
        return original(self, tx, room, contact, member, payload, report)

    patch.setattr(engine.Engine, "post_to", post_to)


@pytest.mark.parametrize(
    ("breaks", "claims"),
    [
        (erase_nothing, {"evaporated"}),
        (keep_read_keys, {"evaporated"}),
        (keep_prekeys, {"evaporated"}),
        (keep_the_committers_init, {"evaporated"}),
        (give_the_removed_a_slot, {"removed:Jun"}),
    ],
)
def test_breaking_the_code_makes_the_demo_fail(
    breaks: Break, claims: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch)
    outcome = run()
    assert claims <= failed(outcome)
    assert "control" not in failed(outcome)


def test_a_broken_build_exits_1(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    erase_nothing(monkeypatch)
    assert main(["demo", "--seed", "1"]) == 1
    assert "A claim does not hold." in capfdbinary.readouterr().out.decode()
