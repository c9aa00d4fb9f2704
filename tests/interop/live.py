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
from random import Random as Random_
from typing import Any, NamedTuple

import pytest

from evanesce.content import Burn, Evaporation, Said, Viewed
from evanesce.errors import HeldError, LocalError, RemoteError
from evanesce.formats import COMMIT_COPY, MESSAGE
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
from evanesce.wire import peek_type

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
    junho.refuses(secret, "unknown-epoch", "held")  # a better commit could bring it back
    junho.did("looked", "look", now=NOW + 259_201)
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
    junho.refuses(bytes.fromhex(request), "replay")

    def ask(time: int) -> str:
        made = RepairRequest.make(own.keys, own.room.id, own.room.own_id, prefix, time)
        return made.signed.hex()

    for n in range(1, 10):
        junho.did("repair request", "receive", data=ask(NOW + n), now=NOW)
    junho.refuses(bytes.fromhex(ask(NOW + 10)), "too-many-requests")
    junho.hears(own.say("got it"), "got it")  # and so it has the copy
    told = junho.did("repair request", "receive", data=ask(NOW + 10_800), now=NOW + 10_800)
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


def commits(peer: Peer, *operations: Any, now: int = NOW) -> dict[bytes, bytes]:
    """Have it commit, and return the copies for the others."""
    return peer.copies(peer.did("committed", "commit", operations=list(operations), guests=[],
                                directory=[], now=now))  # fmt: skip


def takes(peer: Peer, copy: bytes, event: str, now: int = NOW) -> None:
    peer.did(event, "receive", data=copy.hex(), now=now)


def test_both_commit_at_once(peer: Callable[[str], Peer]) -> None:
    """Three commits on one epoch, each seen in another order: all come to the first by rank."""
    junho, haru = peer("junho"), peer("haru")
    own = group_founded_here(junho, haru)
    me, its_id, other_id = own.room.roster.members
    before = own.say("before")
    for each in (junho, haru):
        each.hears(before, "before")
    here = own.room.commit(own.keys, [SetRole(its_id, Role.ADMIN)], [], NOW, random).copies
    there, elsewhere = commits(junho), commits(haru)
    from_here, from_there = own.say("on mine"), junho.say("on mine too")
    from_elsewhere = haru.say("and on mine")

    assert not own.room.apply(elsewhere[me], NOW).leads
    assert not own.room.apply(there[me], NOW).leads
    own = own.restarted()
    takes(junho, elsewhere[its_id], "lost")
    takes(junho, here[its_id], "committed")
    junho.did("restarted", "restart")
    takes(haru, there[other_id], "committed")  # of two members the senior comes first
    takes(haru, here[other_id], "committed")
    for each in (junho, haru):
        same_place(own, each)
    assert own.room.roster[its_id].role is Role.ADMIN

    own.hears(from_there, "on mine too")  # what was said in losing epochs is heard as well
    own.hears(from_elsewhere, "and on mine")
    for each in (junho, haru):
        each.hears(from_here, "on mine")
    haru.hears(from_there, "on mine too")
    junho.hears(from_elsewhere, "and on mine")

    word = junho.say("together again")  # it has strayed, and says so
    own.hears(word, "together again")
    haru.hears(word, "together again")
    junho.refuses(here[its_id], "replay")
    word, answer = own.say("as before"), haru.say("as ever")
    junho.hears(word, "as before")
    haru.hears(word, "as before")
    junho.hears(answer, "as ever")
    own.hears(answer, "as ever")

    refreshed = commits(haru)  # its own has lost: it commits again
    own.room.apply(refreshed[me], NOW)
    takes(junho, refreshed[its_id], "committed")
    for each in (junho, haru):
        same_place(own, each)
    own.hears(haru.say("healed"), "healed")


def test_the_library_is_moved_to_the_commit_of_the_other_side(peer: Callable[[str], Peer]) -> None:
    """There the founder has committed; what was said on both sides is read on both."""
    mina, junho = IdentityKeys.generate(random), peer("junho")
    keys = own_package(mina)
    made = junho.did("founded", "found", policy=POLICY, name="Junho", mailbox=junho.mailbox,
                     guests=[guest_json(keys.package, 1)], now=NOW)  # fmt: skip
    own = Own(mina, Room.join(mina, keys, bytes.fromhex(made["invitations"][0]), NOW)[0])
    me, its_id = own.room.own_id, bytes.fromhex(made["me"])
    for turn in range(3):
        now = NOW + turn
        here, there = own.room.commit(mina, [], [], now, random).copies, commits(junho, now=now)
        word, answer = own.say(f"here {turn}", now), junho.say(f"there {turn}", now)
        applied = own.room.apply(there[me], now)
        assert applied.leads
        assert applied.lost == (me,)
        takes(junho, here[its_id], "lost", now)
        same_place(own, junho)
        junho.hears(word, f"here {turn}", now)
        own.hears(answer, f"there {turn}", now)
        own = own.restarted()
        junho.hears(own.say(f"both {turn}", now), f"both {turn}", now)
    assert own.room.refresh_due(NOW + 3)
    earlier = own.room.commit(mina, [], [], NOW + 3, random).copies[its_id]
    late = commits(junho, now=NOW + 3_700)[me]  # of a later hour: the founder's rank is not asked
    takes(junho, earlier, "committed", NOW + 3_700)
    assert not own.room.apply(late, NOW + 3_700).leads
    same_place(own, junho)


def test_a_removal_that_has_lost_is_made_again(peer: Callable[[str], Peer]) -> None:
    """Each side brings the removal of the other back as a proof, and says nothing before."""
    junho, haru, noa = peer("junho"), peer("haru"), peer("noa")
    own = group_founded_here(junho, haru, noa)
    me, its_id, second, third = own.room.roster.members
    raised = own.room.commit(own.keys, [SetRole(its_id, Role.ADMIN)], [], NOW, random).copies
    for each, who in ((junho, its_id), (haru, second), (noa, third)):
        takes(each, raised[who], "committed")

    refresh = own.room.commit(own.keys, [], [], NOW, random).copies
    removal = commits(junho, {"sanction": {"member": second.hex(), "role": None}})
    takes(noa, removal[third], "committed")
    assert not own.room.apply(removal[me], NOW).leads
    for each, who in ((junho, its_id), (noa, third)):
        takes(each, refresh[who], "committed")
    takes(haru, refresh[second], "committed")
    with pytest.raises(LocalError, match="removal-pending"):
        own.say("too early")
    said = noa.ask("send", content=Said("?", NOW, Evaporation()).encode().hex(), now=NOW)
    assert (said["outcome"], said["reason"]) == ("rejected", "removal-pending")
    brought_back = commits(noa)  # of no right of its own
    assert [member.id for member in own.room.apply(brought_back[me], NOW).removed] == [second]
    takes(junho, brought_back[its_id], "committed")
    takes(haru, brought_back[second], "removed")

    removal_here = own.room.commit(
        own.keys, [Remove(third, own.room.roster[third].admission)], [], NOW + 3_700, random
    ).copies  # fmt: skip
    earlier = commits(junho, now=NOW + 60)
    takes(junho, removal_here[its_id], "lost", NOW + 3_700)
    applied = own.room.apply(earlier[me], NOW + 3_700)
    assert applied.leads
    assert [member.id for member in applied.added] == [third]
    again = commits(junho, now=NOW + 3_700)
    assert [member.id for member in own.room.apply(again[me], NOW + 3_700).removed] == [third]
    same_place(own, junho)
    junho.hears(own.say("two of us", NOW + 3_700), "two of us", NOW + 3_700)


def guest_by(package: KeyPackage, prekey: int) -> dict[str, Any]:
    return {**guest_json(package), "prekey": prekey}


def test_its_joiner_is_moved_from_the_branch_that_has_lost(peer: Callable[[str], Peer]) -> None:
    """Both sides admit it at once. It comes in by the commit that loses, and goes over."""
    junho, haru = peer("junho"), peer("haru")
    own = group_founded_here(junho)
    me, its_id = own.room.roster.members
    raised = own.room.commit(own.keys, [SetRole(its_id, Role.ADMIN)], [], NOW, random).copies
    takes(junho, raised[its_id], "committed")

    package = haru.package()
    here = own.room.commit(own.keys, [], [Invited(package, 0, Role.MEMBER)], NOW, random)
    made = junho.did("committed", "commit", operations=[], guests=[guest_by(package, 1)],
                     directory=[], now=NOW)  # fmt: skip
    (first,), (second,) = made["invitations"], here.invitations.values()
    joined = haru.did("joined", "join", invitation=first, now=NOW)
    word, answer = junho.say("on the branch that loses"), haru.say("here I am")
    applied = own.room.apply(junho.copies(made)[me], NOW)
    assert not applied.leads
    takes(junho, here.copies[its_id], "committed")
    moved = haru.did("moved", "join", invitation=second.hex(), now=NOW)
    assert moved["me"] == joined["me"]  # the same package at the same place of both commits
    assert moved["transcript"] == own.room.transcript.hex()
    haru.did("restarted", "restart")
    haru.hears(word, "on the branch that loses")  # what was on its way is still read
    own.hears(answer, "here I am")
    junho.hears(answer, "here I am")
    for each in (junho, haru):
        same_place(own, each)
    word = haru.say("moved")
    own.hears(word, "moved")
    junho.hears(word, "moved")

    yuna = peer("yuna")  # the other way round she stays where she is
    package = yuna.package()
    here = own.room.commit(own.keys, [], [Invited(package, 0, Role.MEMBER)], NOW, random)
    made = junho.did("committed", "commit", operations=[], guests=[guest_by(package, 1)],
                     directory=[], now=NOW)  # fmt: skip
    (second,) = here.invitations.values()
    yuna.did("joined", "join", invitation=second.hex(), now=NOW)
    told = yuna.ask("join", invitation=made["invitations"][0], now=NOW)
    assert (told["outcome"], told["reason"]) == ("held", "already-member")
    same_place(own, yuna)


def test_a_joiner_of_this_library_is_moved_to_the_branch_of_the_other_side(
    peer: Callable[[str], Peer],
) -> None:
    """The owner there has admitted it as well; only the trail of that one wins."""
    sora, mina, junho = IdentityKeys.generate(random), IdentityKeys.generate(random), peer("junho")
    keys = own_package(mina)
    made = junho.did("founded", "found", policy=POLICY, name="Junho", mailbox=junho.mailbox,
                     guests=[guest_json(keys.package, 1)], now=NOW)  # fmt: skip
    own = Own(mina, Room.join(mina, keys, bytes.fromhex(made["invitations"][0]), NOW)[0])
    me, its_id = own.room.own_id, bytes.fromhex(made["me"])

    its_keys = own_package(sora)
    here = own.room.commit(mina, [], [Invited(its_keys.package, 0, Role.MEMBER)], NOW, random)
    there = junho.did("committed", "commit", operations=[], directory=[], now=NOW,
                      guests=[guest_by(its_keys.package, 1)])  # fmt: skip
    (losing,) = here.invitations.values()
    first = Room.join(sora, its_keys, losing, NOW)[0]
    second = Room.join(sora, its_keys, bytes.fromhex(there["invitations"][0]), NOW)[0]
    late = own.say("on the branch that loses")
    assert not first.moves(second, own.room.roster[me].identity, NOW)
    assert second.moves(first, own.room.roster[its_id].identity, NOW)
    second.take_over(first, moved=True)
    joiner = Own(sora, second).restarted()
    joiner.hears(late, "on the branch that loses")
    assert own.room.apply(junho.copies(there)[me], NOW).leads
    takes(junho, here.copies[its_id], "lost")
    junho.hears(late, "on the branch that loses")
    for each in (own, joiner):
        same_place(each, junho)
    word = joiner.say("moved")
    junho.hears(word, "moved")
    own.hears(word, "moved")


class Anybody:
    """A device of either side in a room where everybody does as it likes."""

    def __init__(self, device: Own | Peer, member: bytes) -> None:
        self.device = device
        self.member = member
        self.waiting: list[bytes] = []  # what has not come yet, or was held
        self.refused: list[str] = []

    def commit(self, wish: tuple[bytes, int | None] | None, now: int) -> dict[bytes, bytes]:
        """Commit, if it may, with a member to remove (None) or to give a role."""
        if isinstance(self.device, Peer):
            return self._commit_there(self.device, wish, now)
        room, wishes = self.device.room, []
        if wish is not None:
            member, role = wish
            if member not in room.roster:
                return {}
            target = room.roster[member]
            wishes = [Remove(target.id, target.admission) if role is None
                      else SetRole(target.id, Role(role))]  # fmt: skip
        try:
            return room.commit(self.device.keys, wishes, [], now, random).copies
        except LocalError:
            return {}

    def _commit_there(
        self, peer: Peer, wish: tuple[bytes, int | None] | None, now: int
    ) -> dict[bytes, bytes]:
        for lowers in (True, False):  # it is told whether a role is lower; try both
            operations: list[Any] = []
            if wish is not None:
                member, role = wish
                operations = (
                    [{"sanction": {"member": member.hex(), "role": role}}]
                    if lowers or role is None else [[2, {"bin": member.hex()}, role]]
                )  # fmt: skip
            answer = peer.ask("commit", operations=operations, guests=[], directory=[], now=now)
            if answer["outcome"] == "event":
                return peer.copies(answer["out"])
        return {}

    def say(self, now: int) -> bytes | None:
        """Say something, if it may."""
        content = Said("word", now, Evaporation())
        if isinstance(self.device, Peer):
            answer = self.device.ask("send", content=content.encode().hex(), now=now)
            return bytes.fromhex(answer["out"]["message"]) if "out" in answer else None
        try:
            return self.device.room.send(self.device.keys, content, now, random).message
        except LocalError:
            return None

    def takes(self, data: bytes, now: int) -> None:
        """Let something come, and note what is refused; what is held waits."""
        reason, held = None, False
        if isinstance(self.device, Peer):
            answer = self.device.ask("receive", data=data.hex(), now=now)
            reason, held = answer.get("reason"), answer["outcome"] == "held"
        else:
            try:
                if peek_type(data) == MESSAGE.type:
                    self.device.room.receive(data, now)
                else:
                    self.device.room.apply(data, now)
            except HeldError as error:
                reason, held = error.reason, True
            except RemoteError as error:
                reason = error.reason
        if held:
            self.waiting.append(data)
        elif reason is not None:
            self.refused.append(str(reason))

    def place(self) -> str | None:
        """The secret of its current epoch; None if it has been removed."""
        if isinstance(self.device, Peer):
            told = self.device.ask("export", label=b"live".hex(), size=48)
            return str(told["out"]["secret"]) if "out" in told else None
        try:
            return self.device.room.export(b"live", 48).hex()
        except LocalError:
            return None


def anybody_in_one_room(peer: Callable[[str], Peer]) -> list[Anybody]:
    """Two devices of each side: an owner and a member here, an owner and an admin there."""
    junho, haru = peer("junho"), peer("haru")
    mina, sora = IdentityKeys.generate(random), IdentityKeys.generate(random)
    keys = own_package(sora)
    guests = [Invited(junho.package(), 0, Role.OWNER), Invited(haru.package(), 0, Role.ADMIN),
              Invited(keys.package, 0, Role.MEMBER)]  # fmt: skip
    room, invitations = Room.found(mina, Policy(Mode.SIGNED), guests, "Mina",
                                   MailboxKeys.generate(random).mailbox, NOW, random)  # fmt: skip
    its_id, other_id, third = invitations
    for each, who in ((junho, its_id), (haru, other_id)):
        each.did("joined", "join", invitation=invitations[who].hex(), now=NOW)
    joined = Room.join(sora, keys, invitations[third], NOW)[0]
    return [Anybody(Own(mina, room), room.own_id), Anybody(junho, its_id),
            Anybody(haru, other_id), Anybody(Own(sora, joined), third)]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_whatever_they_do_at_once_all_come_to_one_place(
    peer: Callable[[str], Peer], seed: int
) -> None:
    """Commits, removals, roles and words at random, in any order: then one secret for all."""
    chance = Random_(seed)
    everybody = anybody_in_one_room(peer)
    now = NOW
    for _ in range(60):
        now += chance.randrange(1_200)
        who = chance.choice(everybody)
        if who.waiting and chance.random() < 0.5:
            who.takes(who.waiting.pop(chance.randrange(len(who.waiting))), now)
            continue
        sent: dict[bytes, bytes] = {}
        if chance.random() < 0.5:
            word = who.say(now)
            if word is not None:
                sent = {each.member: word for each in everybody if each is not who}
        else:
            member = chance.choice([each.member for each in everybody if each is not who])
            wish = (member, chance.choice([None, 0, 1, 1, 2])) if chance.random() < 0.6 else None
            sent = who.commit(wish, now - chance.choice([0, 0, 5_000]))
        for each in everybody:
            if each.member in sent:
                each.waiting.append(sent[each.member])
    for _ in range(40):
        for each in everybody:
            come, each.waiting = each.waiting, []
            chance.shuffle(come)
            for data in come:
                each.takes(data, now)
    places = {place for each in everybody if (place := each.place()) is not None}
    assert len(places) == 1
    refused = {reason for each in everybody for reason in each.refused}
    assert refused <= {"unknown-member"}, refused  # late words of a removed one
