"""The library and the JavaScript implementation in one room, live, with real randomness.

Needs Node 20 and `npm ci` in tests/interop/node, so it is not collected by itself:

    pytest tests/interop/live.py

EVANESCE_NODE names another copy of that folder.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evanesce.content import Burn, Evaporation, Said, Viewed
from evanesce.errors import HeldError, LocalError, RemoteError
from evanesce.formats import COMMIT_COPY
from evanesce.founding import Invited
from evanesce.identity import IdentityKeys
from evanesce.keypackage import KeyPackage, KeyPackageKeys
from evanesce.mailbox import Mailbox, MailboxKeys
from evanesce.membership import Mode, Policy, Role
from evanesce.operations import Remove, Resync, SetRole
from evanesce.primitives import Random
from evanesce.repair import RepairRequest
from evanesce.resync import ResyncRequest
from evanesce.room import Room

NODE = Path(os.environ.get("EVANESCE_NODE") or Path(__file__).parent / "node")
NOW = 1_700_000_000
POLICY = [1, False, None, 259_200]
random: Random = secrets.token_bytes


def mailbox_json(mailbox: Mailbox) -> dict[str, str]:
    address, envelope_key, capability = mailbox.value()
    return {"address": address.hex(), "envelope_key": envelope_key.hex(),
            "capability": capability.hex()}  # fmt: skip


class Peer:
    """A process of the other implementation, with one identity and one room."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mailbox = mailbox_json(MailboxKeys.generate(random).mailbox)
        self.process = subprocess.Popen(
            ["node", "peer.js"], cwd=NODE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ask("identity")

    def ask(self, do: str, **given: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps({"do": do, **given}), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer
        return answer

    def did(self, event: str, do: str, **given: Any) -> Any:
        """Have it do something that must succeed as this event."""
        answer = self.ask(do, **given)
        assert (answer["outcome"], answer.get("event")) == ("event", event), answer
        return answer["out"]

    def package(self, *, last_resort: bool = False) -> KeyPackage:
        signed = self.ask("package", contact=self.mailbox, expiry=NOW + 30 * 86_400,
                          last_resort=last_resort)["signed"]  # fmt: skip
        return KeyPackage.parse(bytes.fromhex(signed))

    def say(self, text: str, now: int = NOW) -> bytes:
        content = Said(text, now, Evaporation()).encode().hex()
        return bytes.fromhex(self.did("sent", "send", content=content, now=now)["message"])

    def asks_for_resync(self, now: int = NOW) -> bytes:
        """Its request, with a new package that it made for it."""
        answer = self.ask("ask for resync", contact=self.mailbox, expiry=NOW + 30 * 86_400, now=now)
        return bytes.fromhex(answer["signed"])

    def hears(self, message: bytes, text: str, now: int = NOW) -> Any:
        answer = self.ask("receive", data=message.hex(), now=now)
        assert answer["outcome"] == "delivered", answer
        assert answer["out"]["content"] == Said(text, now, Evaporation()).encode().hex()
        return answer["out"]

    def refuses(self, data: bytes, reason: str, outcome: str = "rejected") -> None:
        answer = self.ask("receive", data=data.hex(), now=NOW)
        assert (answer["outcome"], answer["reason"]) == (outcome, reason)

    def copies(self, committed: Any) -> dict[bytes, bytes]:
        """The commit copies of what it answered to `commit`."""
        sealed = bytes.fromhex(committed["commit"])
        return {
            bytes.fromhex(member): COMMIT_COPY.build(sealed, slot and bytes.fromhex(slot))
            for member, slot in committed["slots"]
        }


class Own(NamedTuple):
    """A device of this library, in the room."""

    keys: IdentityKeys
    room: Room

    def say(self, text: str, now: int = NOW) -> bytes:
        return self.room.send(self.keys, Said(text, now, Evaporation()), now, random).message

    def hears(self, message: bytes, text: str, now: int = NOW) -> None:
        assert self.room.receive(message, now).content == Said(text, now, Evaporation())

    def restarted(self) -> Own:
        return Own(self.keys, Room.restore(self.room.records()))


@pytest.fixture
def peer() -> Iterator[Callable[[str], Peer]]:
    started: list[Peer] = []

    def start(name: str) -> Peer:
        started.append(Peer(name))
        return started[-1]

    yield start
    for each in started:
        assert each.process.stdin is not None
        assert each.process.stdout is not None
        each.process.stdin.close()
        each.process.stdout.close()
        assert each.process.wait(10) == 0


def own_package(keys: IdentityKeys, *, last_resort: bool = False) -> KeyPackageKeys:
    contact = MailboxKeys.generate(random).mailbox
    return KeyPackageKeys.generate(keys, contact, NOW, random, last_resort=last_resort)


def guest_json(package: KeyPackage, role: int = 0) -> dict[str, Any]:
    return {"package": package.signed.hex(), "role": role,
            "prekey": None if package.last_resort else 0}  # fmt: skip


def same_place(own: Own, peer: Peer) -> None:
    """Both hold one history and one secret."""
    told = peer.did("exported", "export", label=b"live".hex(), size=48)
    assert told["secret"] == own.room.export(b"live", 48).hex()


def test_a_group_founded_here(  # noqa: PLR0915  one conversation
    peer: Callable[[str], Peer],
) -> None:
    """Found, talk, add through the other side, remove, and be refused afterwards."""
    mina, junho, haru = IdentityKeys.generate(random), peer("junho"), peer("haru")
    room, invitations = Room.found(
        mina, Policy(Mode.SIGNED), [Invited(junho.package(), 0, Role.ADMIN)], "Mina",
        MailboxKeys.generate(random).mailbox, NOW, random,
    )  # fmt: skip
    own = Own(mina, room)
    (its_id, invitation), = invitations.items()
    joined = junho.did("joined", "join", invitation=invitation.hex(), now=NOW)
    assert joined["me"] == its_id.hex()
    assert joined["transcript"] == room.transcript.hex()
    same_place(own, junho)

    junho.hears(own.say("annyeong"), "annyeong")
    own.hears(junho.say("안녕!"), "안녕!")
    late, then = own.say("first"), own.say("second")
    assert junho.hears(then, "second")["missing"] == 1
    junho.hears(late, "first")
    junho.refuses(late, "replay")
    junho.refuses(then[:-1], "truncated")

    directory = [{"member": its_id.hex(), "name": "Junho", "mailbox": junho.mailbox}]
    made = junho.did("committed", "commit", operations=[], guests=[guest_json(haru.package())],
                     directory=directory, now=NOW)  # fmt: skip
    copies = junho.copies(made)
    early = junho.say("welcome")  # overtakes the commit
    with pytest.raises(HeldError, match="unknown-epoch"):
        own.room.receive(early, NOW)
    assert len(own.room.apply(copies[own.room.own_id], NOW).added) == 1
    own.hears(early, "welcome")
    its = haru.did("joined", "join", invitation=made["invitations"][0], now=NOW)
    assert its["transcript"] == own.room.transcript.hex() == made["transcript"]
    haru.refuses(late, "unknown-epoch", "held")  # nothing from before
    own = own.restarted()
    junho.did("restarted", "restart")
    word = own.say("three of us")
    for each in (junho, haru):
        each.hears(word, "three of us")
        same_place(own, each)
    answer = haru.say("hello all")
    own.hears(answer, "hello all")
    junho.hears(answer, "hello all")

    refreshed = own.room.commit(mina, [SetRole(bytes.fromhex(its["me"]), Role.ADMIN)], [], NOW,
                                random)  # fmt: skip
    for each, who in ((junho, its_id), (haru, bytes.fromhex(its["me"]))):
        each.did("committed", "receive", data=refreshed.copies[who].hex(), now=NOW)
        same_place(own, each)

    target = own.room.roster[its_id]
    removal = own.room.commit(mina, [Remove(target.id, target.admission)], [], NOW, random)
    haru.did("committed", "receive", data=removal.copies[bytes.fromhex(its["me"])].hex(), now=NOW)
    lingering = junho.say("still here")
    junho.did("removed", "receive", data=removal.copies[its_id].hex(), now=NOW)
    haru.refuses(lingering, "unknown-member")
    with pytest.raises(RemoteError, match="unknown-member"):
        own.room.receive(lingering, NOW)
    secret = own.say("without you")
    haru.hears(secret, "without you")
    junho.refuses(secret, "room-closed")
    said = junho.ask("send", content=Said("?", NOW, Evaporation()).encode().hex(), now=NOW)
    assert (said["outcome"], said["reason"]) == ("rejected", "room-closed")


def test_a_group_founded_there(peer: Callable[[str], Peer]) -> None:
    """The other side founds, commits, takes a leave request into a commit, and removes."""
    mina, sora, junho = IdentityKeys.generate(random), IdentityKeys.generate(random), peer("junho")
    packages = [own_package(mina), own_package(sora, last_resort=True)]
    made = junho.did("founded", "found", policy=POLICY, name="Junho", mailbox=junho.mailbox,
                     guests=[guest_json(keys.package) for keys in packages], now=NOW)  # fmt: skip
    first, second = (
        Own(owner, Room.join(owner, keys, bytes.fromhex(data), NOW)[0])
        for owner, keys, data in zip((mina, sora), packages, made["invitations"], strict=True)
    )
    same_place(first, junho)
    with pytest.raises(LocalError, match="refresh-awaited"):
        first.say("too early")
    refresh = second.room.commit(sora, [], [], NOW, random)  # came by a last-resort package
    first.room.apply(refresh.copies[first.room.own_id], NOW)
    me = bytes.fromhex(made["me"])
    junho.did("committed", "receive", data=refresh.copies[me].hex(), now=NOW)
    junho.hears(first.say("now"), "now")

    leave = first.room.send(mina, first.room.leave_request(mina), NOW, random).message
    junho.did("leave", "receive", data=leave.hex(), now=NOW)
    second.room.receive(leave, NOW)
    copies = junho.copies(junho.did("committed", "commit", operations=[], guests=[], directory=[],
                                    now=NOW))  # fmt: skip
    assert first.room.apply(copies[first.room.own_id], NOW).removed_self
    assert [m.id for m in second.room.apply(copies[second.room.own_id], NOW).removed] == [
        first.room.own_id
    ]
    same_place(second, junho)
    second.hears(junho.say("two left"), "two left")


@pytest.mark.parametrize("last_resort", [False, True])
def test_a_direct_room(peer: Callable[[str], Peer], last_resort: bool) -> None:
    """Turns in both directions, with messages lost, late and repeated, and restarts between."""
    mina, junho = IdentityKeys.generate(random), peer("junho")
    package = junho.package(last_resort=last_resort)
    guest = Invited(package, None if last_resort else 0, Role.MEMBER)
    room, invitations = Room.found(mina, Policy(Mode.DIRECT), [guest], "Mina",
                                   MailboxKeys.generate(random).mailbox, NOW, random)  # fmt: skip
    own = Own(mina, room)
    (invitation,) = invitations.values()
    junho.did("joined", "join", invitation=invitation.hex(), now=NOW)
    for turn in range(3):
        now = NOW + turn
        lost, kept = own.say("lost", now), own.say(f"turn {turn}", now)
        assert junho.hears(kept, f"turn {turn}", now)["missing"] == 1
        junho.refuses(kept, "replay")
        answers = [junho.say(f"answer {turn}.{n}", now) for n in range(3)]
        own = own.restarted()
        own.hears(answers[2], f"answer {turn}.2", now)
        own.hears(answers[0], f"answer {turn}.0", now)
        junho.did("restarted", "restart")
        junho.hears(lost, "lost", now)
        same_place(own, junho)
    assert own.room.epoch == 5


def test_a_direct_room_founded_there(peer: Callable[[str], Peer]) -> None:
    """The library is the one that is invited, and answers first."""
    mina, junho = IdentityKeys.generate(random), peer("junho")
    keys = own_package(mina)
    made = junho.did("founded", "found", policy=[0, False, 10, 3_600], name="Junho",
                     guests=[guest_json(keys.package)], mailbox=junho.mailbox, now=NOW)  # fmt: skip
    own = Own(mina, Room.join(mina, keys, bytes.fromhex(made["invitations"][0]), NOW)[0])
    own.hears(junho.say("knock"), "knock")
    told = junho.hears(own.say("who is there?"), "who is there?")
    assert (told["after_view"], told["lifetime"]) == (10, 3_600)  # the room is the stricter
    own.hears(junho.say("me"), "me")
    same_place(own, junho)


def group_founded_here(*guests: Peer) -> Own:
    """A group of this library and of those guests, who have joined."""
    mina = IdentityKeys.generate(random)
    room, invitations = Room.found(
        mina, Policy(Mode.SIGNED), [Invited(each.package(), 0, Role.MEMBER) for each in guests],
        "Mina", MailboxKeys.generate(random).mailbox, NOW, random,
    )  # fmt: skip
    for each, invitation in zip(guests, invitations.values(), strict=True):
        each.did("joined", "join", invitation=invitation.hex(), now=NOW)
    return Own(mina, room)


def test_its_member_is_let_in_anew_by_the_library(peer: Callable[[str], Peer]) -> None:
    """Two commits never came to it. It asks, an admin here grants it, and all three go on."""
    junho, haru = peer("junho"), peer("haru")
    own = group_founded_here(junho, haru)
    _, its_id, other_id = own.room.roster.members
    own.hears(junho.say("before"), "before")
    late = junho.say("on its way")
    for _ in range(2):
        refresh = own.room.commit(own.keys, [], [], NOW, random)
        haru.did("committed", "receive", data=refresh.copies[other_id].hex(), now=NOW)
    junho.refuses(own.say("where are you?"), "unknown-epoch", "held")

    asked = junho.asks_for_resync()
    told = haru.did("resync request", "receive", data=asked.hex(), now=NOW)
    assert told == {"member": its_id.hex(), "signed": asked.hex()}
    granted = own.room.commit(own.keys, [Resync(ResyncRequest.parse(asked))], [], NOW, random)
    assert granted.copies.keys() == {its_id, other_id}
    haru.did("committed", "receive", data=granted.copies[other_id].hex(), now=NOW)
    before = own.room.roster[its_id]
    joined = junho.did("joined", "join", invitation=granted.invitations[its_id].hex(), now=NOW)
    assert (joined["me"], joined["number"]) == (its_id.hex(), own.room.epoch)
    assert before.resynced == NOW
    for each in (junho, haru):
        same_place(own, each)

    refreshed = junho.did("committed", "commit", operations=[], guests=[], directory=[], now=NOW)
    copies = junho.copies(refreshed)
    own.room.apply(copies[own.room.own_id], NOW)
    haru.did("committed", "receive", data=copies[other_id].hex(), now=NOW)
    own = own.restarted()
    junho.did("restarted", "restart")
    word = own.say("welcome back")
    for each in (junho, haru):
        each.hears(word, "welcome back")
        same_place(own, each)
    back = junho.say("here I am")
    own.hears(back, "here I am")
    haru.hears(back, "here I am")
    own.hears(late, "on its way")  # what its former self has said is still heard

    with pytest.raises(LocalError, match="replay"):
        own.room.commit(own.keys, [Resync(ResyncRequest.parse(asked))], [], NOW, random)
    again = haru.ask("commit", operations=[[4, {"bin": asked.hex()}]], guests=[], directory=[],
                     now=NOW)  # fmt: skip
    assert (again["outcome"], again["reason"]) == ("rejected", "replay")


def test_a_member_of_this_library_is_let_in_anew_there(peer: Callable[[str], Peer]) -> None:
    """The other side takes the request, commits it and seals the invitation."""
    mina, sora, junho = IdentityKeys.generate(random), IdentityKeys.generate(random), peer("junho")
    packages = [own_package(mina), own_package(sora)]
    made = junho.did("founded", "found", policy=POLICY, name="Junho", mailbox=junho.mailbox,
                     guests=[guest_json(keys.package) for keys in packages], now=NOW)  # fmt: skip
    first, second = (
        Own(owner, Room.join(owner, keys, bytes.fromhex(data), NOW)[0])
        for owner, keys, data in zip((mina, sora), packages, made["invitations"], strict=True)
    )
    me = first.room.own_id
    junho.hears(first.say("before"), "before")
    copies = junho.copies(junho.did("committed", "commit", operations=[], guests=[], directory=[],
                                    now=NOW))  # fmt: skip
    second.room.apply(copies[second.room.own_id], NOW)  # `first` is put back and never sees it

    keys = own_package(mina)
    asked = ResyncRequest.make(mina, first.room.id, me, NOW, keys.package).signed
    assert junho.did("resync request", "receive", data=asked.hex(), now=NOW)["member"] == me.hex()
    granted = junho.did("committed", "commit", operations=[[4, {"bin": asked.hex()}]], guests=[],
                        directory=[], now=NOW)  # fmt: skip
    copies = junho.copies(granted)
    assert copies.keys() == {me, second.room.own_id}
    applied = second.room.apply(copies[second.room.own_id], NOW)
    assert [(each.id, each.resynced) for each in applied.resynced] == [(me, NOW)]
    (invitation,) = granted["invitations"]
    first = Own(mina, Room.join(mina, keys, bytes.fromhex(invitation), NOW)[0])
    assert first.room.own_id == me
    assert first.room.refresh_due(NOW)
    refreshed = first.room.commit(mina, [], [], NOW, random)
    second.room.apply(refreshed.copies[second.room.own_id], NOW)
    its_copy = refreshed.copies[bytes.fromhex(made["me"])]
    junho.did("committed", "receive", data=its_copy.hex(), now=NOW)
    for own in (first, second):
        same_place(own, junho)
    word = first.say("back")
    junho.hears(word, "back")
    second.hears(word, "back")
    answer = junho.say("good")
    first.hears(answer, "good")
    second.hears(answer, "good")


def test_repair_in_both_directions(peer: Callable[[str], Peer]) -> None:
    """Who asks gets the copy that it has missed, as the same bytes."""
    junho = peer("junho")
    own = group_founded_here(junho)
    _, its_id = own.room.roster.members
    missed = own.room.commit(own.keys, [], [], NOW, random).copies[its_id]
    asked = RepairRequest.parse(bytes.fromhex(junho.ask("ask for repair", now=NOW)["signed"]))
    assert asked.check(own.room.id, own.room.roster, NOW).id == its_id
    junho.did("committed", "receive", data=missed.hex(), now=NOW)

    prefix = own.room.transcript[:8]
    (copy,) = junho.copies(junho.did("committed", "commit", operations=[], guests=[], directory=[],
                                     now=NOW)).values()  # fmt: skip
    request = RepairRequest.make(own.keys, own.room.id, own.room.own_id, prefix, NOW).signed.hex()
    told = junho.did("repair request", "receive", data=request, now=NOW)
    assert told == {"member": own.room.own_id.hex(), "copies": [copy.hex()]}
    own.room.apply(copy, NOW)
    same_place(own, junho)
    for _ in range(9):
        junho.did("repair request", "receive", data=request, now=NOW)
    junho.refuses(bytes.fromhex(request), "too-many-requests")
    junho.hears(own.say("got it"), "got it")  # and so it has the copy
    told = junho.did("repair request", "receive", data=request, now=NOW + 10_801)
    assert told["copies"] == []


def test_viewed_and_burn_in_both_directions(peer: Callable[[str], Peer]) -> None:
    """They are contents like any other: both sides read what the other has sealed."""
    junho = peer("junho")
    own = group_founded_here(junho)
    its = [own.room.receive(junho.say(each), NOW).id for each in ("one", "two")]
    ids = tuple(bytes.fromhex(junho.hears(own.say(each), each)["id"]) for each in ("three", "four"))
    for event, here, there in (
        ("viewed", Viewed(tuple(its)), Viewed(ids)),
        ("burn", Burn(ids), Burn(tuple(its))),
    ):
        sent = own.room.send(own.keys, here, NOW, random).message
        told = junho.did(event, "receive", data=sent.hex(), now=NOW)
        assert told["content"] == here.encode().hex()
        said = junho.did("sent", "send", content=there.encode().hex(), now=NOW)["message"]
        assert own.room.receive(bytes.fromhex(said), NOW).content == there
    junho.hears(own.say("quiet"), "quiet")
