"""room.json: founding a room, and joining it by what founding gave (10.2, chapter 7)."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from spec.cases.common import (
    EXPIRY,
    NOW,
    Json,
    Stream,
    case,
    changed_byte,
    identity_keys,
    keys_json,
    mailbox_json,
    mailbox_of,
    operation,
    package_keys_json,
    some_keys,
    some_package,
    un,
)

from spec import reference as ref

SHOWN_WHOLE = 8  # guests: of a larger founding a case holds hashes


class Tape:
    """The `random` of a case, given out in order, and all of it."""

    def __init__(self, data: str) -> None:
        self.data = un(data)

    def __call__(self, size: int) -> bytes:
        taken, self.data = self.data[:size], self.data[size:]
        assert len(taken) == size, "more is drawn than the case gives"
        return taken

    def end(self) -> None:
        assert not self.data, "less is drawn than the case gives"


def guest_json(guest: ref.Guest) -> Json:
    return {"package": guest.package.signed.hex(), "prekey": guest.prekey, "role": guest.role}


def guests_of(i: list[Json]) -> list[ref.Guest]:
    """Guests whose packages have been read before: that is no part of the case."""
    read: Callable[[bytes], ref.KeyPackage] = ref.read_key_package
    return [ref.Guest(ref.unnoted(read, un(g["package"])), g["prekey"], g["role"]) for g in i]


def hash_of_all(items: list[bytes]) -> str:
    return hashlib.sha256(b"".join(items)).hexdigest()


@operation("found room")
def _found_room(i: Json) -> Json:
    tape, guests = Tape(i["random"]), guests_of(i["guests"])
    founded = ref.found_room(identity_keys(i["owner"]), i["policy"], guests, i["name"],
                             mailbox_of(i["mailbox"]), i["now"], tape)  # fmt: skip
    tape.end()
    epoch, keys = founded.epoch, founded.epoch.keys
    signature = None
    if i["policy"][0] != ref.DIRECT:
        signature = ref.unnoted(
            ref.sign, founded.room_seed, b"commit", founded.genesis, keys.confirmation
        ).hex()
    out: Json = {
        "room": epoch.room.hex(), "me": epoch.opener.hex(),
        "confirmation": keys.confirmation.hex(), "signature": signature,
        "secret": founded.secret.hex(), "transcript": epoch.transcript.hex(),
        "context": epoch.context.hex(),
    }  # fmt: skip
    if len(guests) > SHOWN_WHOLE:
        return {**out, "genesis_sha256": hash_of_all([founded.genesis]),
                "invitations_sha256": hash_of_all(founded.invitations)}  # fmt: skip
    return {**out, "genesis": founded.genesis.hex(),
            "invitations": [invitation.hex() for invitation in founded.invitations]}  # fmt: skip


def some_guest(
    name: str, role: int = ref.MEMBER, prekey: int | None = 0, *, last_resort: bool = False
) -> ref.Guest:
    _, keys = some_package(name, last_resort)
    return ref.Guest(keys.package, None if last_resort else prekey, role)


def crowd(count: int) -> list[ref.Guest]:
    """So many guests, by the short last-resort packages."""
    return [some_guest(f"crowd-{n}", last_resort=True) for n in range(count)]


ANN = some_keys("founding-ann")
BOX = ref.MailboxKeys(b"\x17" * 32, b"\x18" * 32, b"\x19" * 16).public
SIGNED_ROOM: list[Any] = [1, False, None, 259_200]
DIRECT_ROOM: list[Any] = [0, False, None, 259_200]


def founding(
    guests: list[ref.Guest], policy: list[Any], name: str = "Ann", now: int = NOW
) -> Json:  # fmt: skip
    return {
        "owner": keys_json(ANN), "policy": policy, "guests": [guest_json(g) for g in guests],
        "name": name, "mailbox": mailbox_json(BOX), "now": now,
    }  # fmt: skip


def founding_cases() -> Iterator[Json]:
    def found(
        name: str, comment: str, inputs: Json, spec: str = "", reason: str | None = None,
        parent: str | None = None, mutation: str | None = None,
    ) -> Json:  # fmt: skip
        draws = Stream(f"room-found-{name}")(128 + 32 * len(inputs["guests"]))
        direct = inputs["policy"][0] == ref.DIRECT
        always = "EPOCH-01 EPOCH-05 EPOCH-06 EPOCH-07 EPOCH-08 EPOCH-09 EPOCH-12 INV-05 MEM-03"
        made = f"{always} {'INV-02' if direct else 'EPOCH-13'}"
        return case(f"room-found-{name}", f"{'EPOCH-12' if reason else made} {spec}", comment,
                    "found room", {**inputs, "random": draws.hex()}, reason,
                    parent=parent and f"room-found-{parent}", mutation=mutation,
                    features="direct" if direct else "signed")  # fmt: skip

    bob, cid = some_guest("founding-bob"), some_guest("founding-cid", ref.ADMIN, 3)
    dan = some_guest("founding-dan", last_resort=True)
    eve = some_guest("founding-eve", ref.OWNER, 1)
    three = [bob, cid]
    valid: list[tuple[str, str, str, Json]] = [
        ("direct", "a direct room, by a one-time prekey", "",
         founding([bob._replace(prekey=2)], DIRECT_ROOM)),
        ("direct-last-resort", "a direct room, by a last-resort package", "ID-08",
         founding([dan], DIRECT_ROOM)),
        ("signed-1", "a room of its creator alone", "MEM-04", founding([], SIGNED_ROOM)),
        ("signed-2", "a signed room of two", "", founding([bob], SIGNED_ROOM)),
        ("signed-3", "a signed room of three", "MEM-04", founding(three, SIGNED_ROOM)),
        ("signed-17", "a signed room of 17", "MEM-04", founding(crowd(16), SIGNED_ROOM)),
        ("signed-256", "a signed room of 256", "MEM-04", founding(crowd(255), SIGNED_ROOM)),
        ("roles", "an owner, an admin and a member who joins by a last-resort package", "MEM-04",
         founding([eve, cid, dan], SIGNED_ROOM)),
        ("may-add", "members may add, and messages go when they are viewed", "MEM-12",
         founding([bob], [1, True, 0, 1])),
        ("longest", "the longest times that there are", "MEM-12 EVAP-01",
         founding([bob], [1, False, 259_200, 259_200])),
        ("name", "a name of 256 bytes", "LIMIT-09", founding([bob], SIGNED_ROOM, "é" * 128)),
        ("no-name", "an empty name", "", founding([bob], SIGNED_ROOM, "")),
        ("at-expiry", "the last second of a package", "ID-05",
         founding([bob], SIGNED_ROOM, now=EXPIRY)),
    ]  # fmt: skip
    made: dict[str, Json] = {}
    for name, comment, spec, inputs in valid:
        made[name] = found(name, comment, inputs, spec)
        yield made[name]
    yield from refused_foundings(found, bob, cid, dan)
    for name, guests in (
        ("direct", ["bob"]), ("direct-last-resort", ["dan"]), ("signed-2", ["bob"]),
        ("signed-3", ["bob", "cid"]), ("roles", ["eve", "dan"]), ("may-add", ["bob"]),
        ("longest", ["bob"]), ("name", ["bob"]), ("at-expiry", ["bob"]),
    ):  # fmt: skip
        each, features = made[name], " ".join(made[name]["features"])
        for guest in guests:
            owner, keys = some_package(f"founding-{guest}", guest == "dan")
            packages = [g["package"] for g in each["in"]["guests"]]
            place = packages.index(keys.package.signed.hex())
            yield case(f"room-join-founded-{name}-{guest}", "INV-04 INV-05 INV-06 EPOCH-12",
                       f"{guest} joins what was founded in room-found-{name}", "join room", {
                           "owner": keys_json(owner), "package": package_keys_json(keys),
                           "invitation": each["out"]["invitations"][place],
                           "now": each["in"]["now"]}, features=features)  # fmt: skip


def refused_foundings(
    found: Callable[..., Json], bob: ref.Guest, cid: ref.Guest, dan: ref.Guest
) -> Iterator[Json]:
    """What a device refuses its own application. All are local."""
    again = ref.make_key_package(some_package("founding-bob")[0], list(BOX), EXPIRY, False,
                                 Stream("founding-bob-again")).package  # fmt: skip
    mine = ref.make_key_package(ANN, list(BOX), EXPIRY, False, Stream("founding-own")).package
    for name, spec, inputs, reason, parent, mutation in (
        ("deniable", "MEM-12", founding([bob], [2, False, None, 1]), "wrong-mode", "signed-2",
         "the mode is deniable"),
        ("lifetime-0", "MEM-12 EVAP-01 LIMIT-27", founding([bob], [1, False, None, 0]),
         "bad-policy", "signed-2", "a lifetime of 0"),
        ("lifetime-past", "MEM-12 EVAP-01 LIMIT-27", founding([bob], [1, False, None, 259_201]),
         "bad-policy", "longest", "a lifetime of one second more than 72 h"),
        ("after-view-past", "MEM-12 EVAP-01 LIMIT-27", founding([bob], [1, False, 259_201, 1]),
         "bad-policy", "longest", "an after_view of one second more than 72 h"),
        ("deniable-lifetime-0", "MEM-12", founding([bob], [2, False, None, 0]), "bad-policy",
         "signed-2", "two faults: the mode is deniable, and a lifetime of 0 is looked at first"),
        ("direct-alone", "DIR-09", founding([], DIRECT_ROOM), "wrong-mode", "direct",
         "nobody is invited"),
        ("direct-of-three", "DIR-09", founding([bob, cid], DIRECT_ROOM), "wrong-mode", "direct",
         "two are invited"),
        ("expired", "ID-05", founding([bob], SIGNED_ROOM, now=EXPIRY + 1), "expired", "at-expiry",
         "one second later"),
        ("direct-expired", "ID-05", founding([bob], DIRECT_ROOM, now=EXPIRY + 1), "expired",
         "direct", "one second after the expiry of the package"),
        ("package-twice", "MEM-11", founding([bob, bob], SIGNED_ROOM), "already-member",
         "signed-3", "both packages are the same"),
        ("identity-twice", "MEM-11", founding([bob, bob._replace(package=again)], SIGNED_ROOM),
         "already-member", "signed-3", "two packages of one identity"),
        ("oneself", "MEM-11", founding([bob._replace(package=mine)], SIGNED_ROOM),
         "already-member", "signed-2", "a package of the creator's own identity"),
        ("direct-oneself", "MEM-11", founding([bob._replace(package=mine)], DIRECT_ROOM),
         "already-member", "direct", "a package of the creator's own identity"),
        ("prekey-4", "ID-08", founding([bob._replace(prekey=4)], SIGNED_ROOM), "used-package",
         "signed-2", "a prekey that the package does not have"),
        ("no-prekey", "ID-08", founding([bob._replace(prekey=None)], SIGNED_ROOM),
         "used-package", "signed-2", "no prekey of a package that has some"),
        ("prekey-of-last-resort", "ID-08", founding([dan._replace(prekey=0)], DIRECT_ROOM),
         "used-package", "direct-last-resort", "a prekey of a last-resort package"),
        ("name-257", "LIMIT-09", founding([bob], SIGNED_ROOM, "é" * 128 + "e"), "too-large",
         "name", "a name of one byte more, and fewer characters than bytes"),
        ("time-2^40", "", founding([bob], SIGNED_ROOM, now=1 << 40), "bad-input", "signed-2",
         "a time of 2^40"),
        ("package-changed", "ID-07", with_package(founding([bob], SIGNED_ROOM),
                                                  changed_byte(bob.package.signed)),
         "bad-signature", "signed-2", "the last byte of the package's signature changed"),
    ):  # fmt: skip
        yield found(name, mutation, inputs, spec, reason, parent, mutation)


def with_package(inputs: Json, signed: bytes) -> Json:
    return {**inputs, "guests": [{**inputs["guests"][0], "package": signed.hex()}]}
