"""Operations of chapter 6: identities, key packages, cards."""

from __future__ import annotations

from ...identity import safety_number
from ...keypackage import Card, KeyPackage, KeyPackageKeys
from ...limits import PACKAGE_LIFETIME, SIGNED_PREKEY_ROTATION
from .registry import Json, operation
from .values import (
    Tape,
    identity_json,
    identity_keys,
    identity_of,
    mailbox_json,
    mailbox_of,
    un,
)


@operation("identity")
def _identity(i: Json) -> Json:
    return identity_json(identity_keys(i).identity)


@operation("fingerprint")
def _fingerprint(i: Json) -> Json:
    return {"fingerprint": identity_of(i).fingerprint.hex()}


@operation("safety number")
def _safety_number(i: Json) -> Json:
    return {"number": safety_number(identity_of(i["mine"]), identity_of(i["theirs"]))}


@operation("check identity")
def _check_identity(i: Json) -> Json:
    identity_of(i).check()
    return {}


@operation("make key package")
def _make_key_package(i: Json) -> Json:
    """The library chooses the expiry by its clock, so the clock is set to what gives this one."""
    draws = [un(i["signed_prekey"]), *map(un, i["prekeys"]), un(i["leaf"]), un(i["room_seed"])]
    last_resort, tape = i["last_resort"], Tape(*draws)
    made = i["expiry"] - (SIGNED_PREKEY_ROTATION if last_resort else PACKAGE_LIFETIME)
    keys = KeyPackageKeys.generate(
        identity_keys(i["owner"]), mailbox_of(i["contact"]), made, tape, last_resort=last_resort
    )
    tape.end()
    return {"signed": keys.package.signed.hex(), "hash": keys.package.hash.hex()}


@operation("read key package")
def _read_key_package(i: Json) -> Json:
    package = KeyPackage.parse(un(i["signed"]))
    return {
        "suite": package.suite.number,
        "identity": identity_json(package.identity),
        "signed_prekey": package.signed_prekey.hex(),
        "prekeys": [prekey.hex() for prekey in package.one_time_prekeys],
        "leaf_key": package.leaf_key.hex(),
        "room_sign_key": package.room_sign_key.hex(),
        "contact": mailbox_json(package.contact),
        "expiry": package.expiry,
        "last_resort": package.last_resort,
        "hash": package.hash.hex(),
    }


@operation("choose prekey")
def _choose_prekey(i: Json) -> Json:
    prekey = KeyPackage.parse(un(i["signed"])).prekey(i["index"])
    return {"prekey": None if prekey is None else prekey.hex()}


@operation("read card")
def _read_card(i: Json) -> Json:
    card = Card.decode(un(i["card"]))
    return {"name": card.name, "hash": card.package.hash.hex()}
