"""Sessions in which a member is let in anew: what is refused, and the device that it was before."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import Json, package_keys_json
from spec.cases.session_play import Play, person
from spec.cases.session_return import CHANGE, asks

from spec import reference as ref


def cases() -> Iterator[Json]:
    yield from refused_requests()
    yield from put_back()
    yield from early()


def refused_requests() -> Iterator[Json]:
    """What nobody grants, and nobody applies."""
    play = Play("resync-refused")
    play.begin("ann", "bob", "cid")
    good = asks(play, "bob again")
    room, gone = play.room("ann").now_in.epoch.room, play.row("bob", "ann")
    wrong: list[tuple[list[list[Any]], str]] = [
        ([asks(play, "ann again")], "not-entitled"),
        ([asks(play, "bob again", by="cid")], "bad-signature"),
        ([asks(play, "bob again", by="ann")], "bad-signature"),
        ([asks(play, "bob again", room=bytes(32))], "bad-proof"),
        ([asks(play, "bob last")], "bad-proof"),
        ([asks(play, "bob")], "used-package"),
        ([asks(play, "bob again", time=play.now + 301)], "bad-proof"),
        ([asks(play, "bob again", time=play.now - 259_201)], "expired"),
        ([[ref.SANCTION, gone.id, None], good], "unknown-member"),
        ([good, good], "used-package"),
        ([[ref.RESYNC, ref.make_leave_request(person("bob").keys, room, gone)]], "wrong-type"),
        ([[ref.RESYNC, person("bob again").package.package.signed]], "wrong-type"),
    ]
    for operations, reason in wrong:
        play.may_not_commit("ann", reason, operations)
    honest = play.commit("ann")
    for operations, reason in wrong:
        changes = {5: play.signed("ann", operations)}
        play.refuse("cid", play.forged_commit("ann", honest, "cid", changes), reason)
    play.refuse("cid", play.forged_commit("ann", honest, "cid", {5: [good]}), "bad-state-hash")
    play.apply(honest, "bob", "cid")
    play.all_hear(play.say("cid", "all as before"), "ann", "bob")
    play.all_hear(play.say("ann", "all as before"), "bob", "cid")
    yield play.case("ann", CHANGE, "Requests that a device does not grant")
    yield play.case("cid", CHANGE, "Requests that are refused when another commits them")


def put_back() -> Iterator[Json]:
    """The device that bob was goes on beside the one that came back."""
    play = Play("resync-put-back")
    play.begin("ann", "bob", "cid")
    late = play.say("ann", "late")
    made = play.resync("ann", "bob again", [asks(play, "bob again")])
    play.apply(made, "cid")
    play.join("bob again")
    old = play.room("bob")
    slot = ref.parse(made.copies["cid"], "commit copy")[1]
    for its in (None, slot):  # whether there is a slot is not looked at
        play.refuse("bob", ref.build("commit copy", made.sealed, its), "room-closed")
    forged = play.forged_commit("ann", made, "cid", {9: bytes(32)})
    play.refuse("bob", forged, "bad-state-hash")
    play.hear("bob", late)
    news = play.say("ann", "in the new epoch")
    play.refuse("bob", news, "unknown-epoch")
    play.hear("cid", news, missing=1)
    play.hear("bob again", news)
    play.hear("cid", play.say("bob", "as if nothing had been"))
    sibling = play.commit("bob")
    play.loses(sibling, "bob", "cid")
    play.hear("cid", play.say("bob", "in an epoch of my own"))
    stolen = play.room("bob again")  # its chain, but the room signature key of then
    kept = stolen.now_in._replace(room_seed=old.now_in.room_seed)
    stolen = stolen._replace(epochs={**stolen.epochs, stolen.current: kept})
    play.refuse("cid", play.forge("bob again", room=stolen), "bad-signature")
    for count in (0, 1, 2):  # it does not know what it said before
        play.refuse("cid", play.forge("bob again", {5: [old.current, count]}), "bad-count")
    play.hear("cid", play.say("bob again", "I am the one"))
    following = play.commit("cid")
    play.refuse("bob", following.copies["bob again"], "unknown-epoch")
    play.apply(following, "bob again")
    play.hear("bob again", play.say("cid", "so you are"))
    yield play.case("bob", "EPOCH-15 MSG-07 MEM-13",
                    "A device that was let in anew elsewhere does not follow")  # fmt: skip
    yield play.case("cid", f"{CHANGE} EPOCH-20 MSG-07 MSG-08",
                    "The former self of a member is heard in its epochs")  # fmt: skip


def early() -> Iterator[Json]:
    """Whether the receiver is let in anew is asked after the clock."""
    play = Play("resync-early")
    play.begin("ann", "bob", "cid")
    late = play.say("ann", "late")
    play.wait(301)
    made = play.resync("ann", "bob again", [asks(play, "bob again")])
    copy = ref.build("commit copy", made.sealed, None)
    play.wait(-301)
    play.refuse("bob", copy, "early-commit")
    play.refuse("cid", made.copies["cid"], "early-commit")
    play.step("bob again", "join", "early-commit", now=play.now,
              package=package_keys_json(person("bob again").package),
              invitation=play.invitations["bob again"].hex())  # fmt: skip
    play.wait(1)
    play.refuse("bob", copy, "room-closed")
    play.hear("bob", late)
    play.apply(made, "cid")
    play.join("bob again")
    play.hear("cid", play.say("bob again", "here"))
    play.hear("bob again", play.say("cid", "here"))
    spec = "EPOCH-15 INV-06 LIMIT-13 MEM-13"
    yield play.case("bob", spec, "Held while the commit is early, then closed")
    yield play.case("cid", spec, "A commit that lets another in anew is 301 s early")
    yield play.case("bob again", spec, "An invitation that is 301 s early is held")
