"""room.json: members are let in anew: the commit, who applies it, and who comes back (10.13)."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from spec.cases.committing import BOB, CID, DAN, FAY, Place, Wish, begin, epoch_json
from spec.cases.common import (
    EXPIRY,
    NOW,
    Json,
    Stream,
    case,
    changed_byte,
    keys_json,
    mailbox_json,
    package_keys_json,
    un,
)
from spec.cases.founding import BOX

from spec import reference as ref

HOURS_72 = 259_200


class Request(NamedTuple):
    """A resync request, its operation, and the package it is by."""

    signed: bytes
    keys: ref.KeyPackageKeys
    owner: ref.IdentityKeys

    @property
    def operation(self) -> list[Any]:
        return [ref.RESYNC, self.signed]


def asks(
    place: Place, who: str, *, time: int = NOW, member: bytes | None = None,
    room: bytes | None = None, by: ref.IdentityKeys | None = None, expiry: int = EXPIRY,
) -> Request:  # fmt: skip
    """Somebody asks to be let into a room anew, by a new package."""
    owner, random = place.people[who].owner, Stream(f"resyncing-{who}-{expiry}")
    contact = ref.MailboxKeys(random(32), random(32), random(16)).public
    keys: ref.KeyPackageKeys = ref.unnoted(
        ref.make_key_package, owner, list(contact), expiry, False, random
    )
    body = ref.build("resync request", room or place.epoch.room,
                     member or place.people[who].id, time, keys.package.signed)  # fmt: skip
    signature = ref.sign((by or owner).seed, b"resync request", body)
    return Request(ref.build("signed object", body, signature), keys, owner)


def inputs_of(name: str, wish: Wish, resyncs: int) -> Json:
    """A commit draws an ephemeral key for each invitation, those of a resync included."""
    draws = 144 + 32 * (len(wish.invited) + resyncs)
    return {**wish.inputs(name), "random": Stream(f"room-make-{name}")(draws).hex()}


def applies(name: str, wish: Wish, who: str, made: Json, slot: str | None) -> Json:
    """What `apply commit` needs for one of them."""
    person = wish.place.people[who]
    copy = ref.build("commit copy", un(made["out"]["sealed_commit"]), slot and un(slot))
    return {**epoch_json(wish.place.epoch), "me": person.id.hex(), "leaf": person.leaf.hex(),
            "copy": copy.hex(), "now": wish.now}  # fmt: skip


def resync_commit_cases() -> Iterator[Json]:
    two, three = begin("two", [BOB]), begin("three", [BOB, CID])
    bob, cid = asks(three, "bob"), asks(three, "cid")
    alone = asks(two, "bob")
    later = asks(three, "bob", time=NOW + 1, expiry=EXPIRY - 1)
    full = [{"member": person.id.hex(), "name": name, "mailbox": mailbox_json(BOX)}
            for name, person in three.people.items()]  # fmt: skip
    everyone: list[tuple[str, str, Wish, list[Request], list[str]]] = [
        ("resync", "one of three is let in anew: its copy has no slot, it gets an invitation",
         Wish(three, "ann", [bob.operation]), [bob], ["cid"]),
        ("resync-2", "the only other member is let in anew: there is no slot at all",
         Wish(two, "ann", [alone.operation]), [alone], []),
        ("resync-by-member", "a member lets the admin in anew",
         Wish(three, "bob", [cid.operation]), [cid], ["ann"]),
        ("resync-of-owner", "a member lets the owner in anew",
         Wish(three, "bob", [asks(three, "ann").operation]), [asks(three, "ann")], ["cid"]),
        ("resync-both", "both others are let in anew: invitations in the order of the operations",
         Wish(three, "ann", [cid.operation, bob.operation]), [cid, bob], []),
        ("resync-add", "one is let in anew, and two are added: their invitations follow",
         Wish(three, "ann", [bob.operation], [DAN, FAY]), [bob], ["cid"]),
        ("resync-directory", "the row of whom it lets in anew is left out of the welcome",
         Wish(three, "ann", [bob.operation], [DAN], directory=full), [bob], ["cid"]),
        ("resync-remove", "one is let in anew and another removed",
         Wish(three, "ann", [three.removal("cid"), bob.operation]), [bob], ["cid"]),
        ("resync-role", "one is let in anew as an admin",
         Wish(three, "ann", [bob.operation, three.role("bob", ref.ADMIN)]), [bob], ["cid"]),
        ("resync-leave", "one is let in anew, and another leaves",
         Wish(three, "ann", [bob.operation], kept=[three.leaves("cid")]), [bob], ["cid"]),
        ("resync-of-leaver", "the leave request of whom it lets in anew is left out",
         Wish(three, "ann", [bob.operation], kept=[three.leaves("bob"), three.leaves("cid")]),
         [bob], ["cid"]),
        ("resync-then-remove", "let in anew and then removed: a copy without slot, no invitation",
         Wish(three, "ann", [bob.operation, three.removal("bob")]), [], ["bob", "cid"]),
        ("resync-twice", "two requests of one member: the last counts, at its place",
         Wish(three, "ann", [bob.operation, cid.operation, later.operation]), [cid, later], []),
    ]  # fmt: skip
    always = "EPOCH-03 EPOCH-14 MEM-07 MEM-13"
    kept: dict[str, tuple[Wish, Json]] = {}
    for name, comment, wish, anew, receivers in everyone:
        made = case(f"room-make-{name}", always, comment, "make commit",
                    inputs_of(name, wish, len(anew)), features="signed")  # fmt: skip
        kept[name] = wish, made
        yield made
        slots = dict(made["out"]["slots"])
        for who in receivers:
            slot = slots[wish.place.people[who].id.hex()]
            yield case(f"room-apply-made-{name}-{who}", "EPOCH-11 EPOCH-15 MEM-07 MEM-13",
                       f"{who} applies the commit of room-make-{name}", "apply commit",
                       applies(name, wish, who, made, slot), features="signed")  # fmt: skip
        for request, invitation in zip(anew, made["out"]["invitations"], strict=False):
            who = next(n for n, one in wish.place.people.items() if one.owner == request.owner)
            yield case(f"room-join-made-{name}-{who}", "INV-06 MEM-13",
                       f"{who} comes back by the commit of room-make-{name}", "join room", {
                           "owner": keys_json(request.owner),
                           "package": package_keys_json(request.keys),
                           "invitation": invitation, "now": NOW}, features="signed")  # fmt: skip
    yield from refused_applying(three, kept)
    yield from after_cases(three, bob)
    yield from refused_joining(three)


def refused_applying(three: Place, kept: dict[str, tuple[Wish, Json]]) -> Iterator[Json]:
    """The device that is let in anew gets its copy: as it should, and one with a slot."""
    wish, made = kept["resync"]
    bob = three.people["bob"]
    draws = un(inputs_of("resync", wish, 1)["random"])
    ephemeral, r = draws[64:96], draws[96:128]
    slot = ref.seal_slot(r, ephemeral, un(made["out"]["commit"]), bob.id, ref.dh_public(bob.leaf))
    for name, reason, its, mutation in (
        ("slot", "room-closed", slot.hex(), "the member it lets in anew gets a copy with a slot"),
        ("no-slot", "room-closed", None, "the member it lets in anew gets a copy without a slot"),
    ):
        yield case(f"room-apply-resynced-{name}", "EPOCH-15 MEM-13", mutation, "apply commit",
                   applies("resync", wish, "bob", made, its), reason,
                   parent="room-apply-made-resync-cid", mutation=mutation,
                   features="signed")  # fmt: skip


def after_cases(three: Place, bob: Request) -> Iterator[Json]:
    """What follows a resync: the member's first commit, and its request once more."""
    wish = Wish(three, "ann", [bob.operation])
    inputs = inputs_of("resync", wish, 1)
    me = three.people["ann"]
    tape = iter([un(inputs["random"])[n : n + 32] for n in range(0, 128, 32)])
    rest = un(inputs["random"])[128:]
    draws = [*tape, rest[:16], rest[16:]]
    made = ref.make_commit(three.epoch, me.owner, me.id, me.room_seed, [bob.operation], [], [],
                           [], {}, NOW, lambda _: draws.pop(0), three.trail)  # fmt: skip
    people = {**three.people,
              "ann": me._replace(leaf=made.leaf, room_seed=made.room_seed),
              "bob": three.people["bob"]._replace(leaf=bob.keys.leaf,
                                                  room_seed=bob.keys.room_seed)}  # fmt: skip
    row = three.epoch.roster.find(me.id)
    order = ref.order_of_commit(three.epoch.roster, three.epoch.time, row, NOW, [])
    place = Place(made.epoch, people, [*three.trail, (made.epoch.prefix, order)])
    first = Wish(place, "bob")
    yield case("room-make-after-resync", "EPOCH-14 MEM-01",
               "the first commit of a member that came back: version 1 again, in its old place",
               "make commit", first.inputs("after-resync"), features="signed")  # fmt: skip
    yield case("room-make-after-resync-other", "EPOCH-03 EPOCH-14",
               "another commits: the slot goes to the leaf key of the package", "make commit",
               Wish(place, "cid").inputs("after-resync-other"), features="signed")  # fmt: skip
    for name, reason, operation, mutation in (
        ("same", "used-package", bob.operation, "the request that has been granted"),
        ("same-time", "replay", asks(three, "bob", expiry=EXPIRY - 2).operation,
         "another request of the same second"),
    ):  # fmt: skip
        yield case(f"room-make-resync-again-{name}", "EPOCH-14 MEM-13", mutation, "make commit",
                   inputs_of(f"resync-again-{name}", Wish(place, "ann", [operation]), 1), reason,
                   parent="room-make-resync", mutation=mutation, features="signed")  # fmt: skip


def refused_joining(three: Place) -> Iterator[Json]:
    """What an insider may make up for a device whose package it has: Ann invites Bob."""
    ann, bob = three.people["ann"], three.people["bob"]

    def welcome(
        name: str, operations: list[list[Any]], request: Request, *, place: bytes | None = None,
        time: int = NOW, resynced: int | None = NOW,
    ) -> bytes:  # fmt: skip
        """An invitation by a commit with these operations, whether they may stand there or not."""
        epoch, random = three.epoch, Stream(f"resyncing-welcome-{name}")
        leaf, seed, ephemeral, r = random(32), random(32), random(32), random(32)
        entry = ref.make_entry(ann.owner, epoch.room, ann.id, ref.dh_public(leaf),
                               ref.sign_public(seed), 1)  # fmt: skip
        row = epoch.roster.find(place or bob.id)
        anew = row._replace(sign_key=request.keys.package.identity.sign_key,
                            dh_key=request.keys.package.identity.dh_key,
                            signed=request.keys.package.signed, resynced=resynced)  # fmt: skip
        roster = epoch.roster.replace(anew)
        if place is not None:
            roster = roster.without(bob.id)  # or its identity would stand there twice
        roster = roster.replace(roster.find(ann.id)._replace(signed=entry))
        commit = ref.build(
            "commit", epoch.room, epoch.number, epoch.transcript, ann.id, time, operations, [],
            entry, ref.dh_public(ephemeral), ref.state_hash(roster.encode(), epoch.policy),
        )  # fmt: skip
        secret = ref.epoch_secret(epoch.keys.inits[ann.id], r, commit)
        keys = ref.key_schedule(secret, commit, ref.ids_of(roster))
        signature = ref.sign(ann.room_seed, b"commit", commit, keys.confirmation)
        data = ref.make_welcome(commit, keys.confirmation, signature,
                                epoch.roster.find(ann.id).signed, roster, epoch.policy, secret,
                                {ann.id: ("Ann", BOX)}, three.trail)  # fmt: skip
        return ref.seal_invitation(ann.owner, request.keys.package, 0, data, random)

    def join(
        name: str, invitation: bytes, request: Request, reason: str | None = None,
        mutation: str | None = None, *, now: int = NOW, comment: str = "",
    ) -> Json:  # fmt: skip
        return case(f"room-join-resync-{name}", "INV-06 MEM-13", comment or mutation or name,
                    "join room", {
                        "owner": keys_json(request.owner),
                        "package": package_keys_json(request.keys),
                        "invitation": invitation.hex(), "now": now}, reason,
                    parent="room-join-resync-honest" if reason else None, mutation=mutation,
                    features="signed")  # fmt: skip

    good = asks(three, "bob")
    yield join("honest", welcome("honest", [good.operation], good), good,
               comment="made by hand as the library makes it")  # fmt: skip
    due = asks(three, "bob", expiry=NOW)
    yield join("at-expiry", welcome("at-expiry", [due.operation], due), due,
               comment="the last second of the package")  # fmt: skip
    added = [ref.ADD, good.keys.package.signed, ref.MEMBER]
    comment = "an add of the same package before the resync: the last one holds"
    yield join("add-first", welcome("add-first", [added, good.operation], good), good,
               comment=comment)  # fmt: skip
    past = asks(three, "bob", expiry=NOW - 1)
    forged = asks(three, "bob", by=ann.owner)
    elsewhere = asks(three, "bob", room=bytes(32))
    other_place = asks(three, "bob", member=three.people["cid"].id)
    body, signature = ref.parse(good.signed, "signed object")
    broken = good._replace(signed=ref.build("signed object", body, changed_byte(signature)))
    unread = good._replace(signed=ref.build("signed object", b"\x93\x01\x14", signature))
    for name, operations, request, reason, mutation in (
        ("by-another", [forged.operation], forged, "bad-signature",
         "the request is signed by who invites"),
        ("signature-changed", [broken.operation], broken, "bad-signature",
         "a bit of the signature of the request"),
        ("other-room", [elsewhere.operation], elsewhere, "bad-proof",
         "the request is for another room"),
        ("past-expiry", [past.operation], past, "expired",
         "the package expired a second before the commit"),
        ("add-last", [good.operation, added], good, "unknown-member",
         "an add of the same package after the resync: the last one holds"),
        ("no-operation", [], good, "unknown-member",
         "the roster holds the package, but no operation does"),
        ("anothers-place", [other_place.operation], other_place, "unknown-member",
         "the request names the place of another member"),
        ("unreadable", [good.operation, unread.operation], good, "truncated",
         "a second resync whose request cannot be read"),
    ):  # fmt: skip
        yield join(name, welcome(name, operations, request), request, reason, mutation)
    yield join("room-before-signature", welcome("room-before-signature", [asks(
        three, "bob", room=bytes(32), by=ann.owner).operation], elsewhere), elsewhere,
        "bad-proof", "another room, and signed by who invites",
        comment="two faults: the room, then the signature")  # fmt: skip
    past_forged = asks(three, "bob", expiry=NOW - 1, by=ann.owner)
    yield join("signature-before-expiry", welcome("signature-before-expiry", [
        past_forged.operation], past_forged), past_forged, "bad-signature",
        "signed by who invites, and by a package that expired a second before the commit",
        comment="two faults: the signature, then the expiry")  # fmt: skip

