"""identity.json (chapter 6)."""

from collections.abc import Iterator

from spec.cases.common import (
    SMALL_DH,
    SMALL_SIGN,
    Json,
    an_identity,
    case,
    identity_json,
    identity_keys,
    keys_json,
    little,
    operation,
    some_keys,
)

from spec import reference as ref


@operation("identity")
def _identity(i: Json) -> Json:
    return identity_json(identity_keys(i).public)


@operation("fingerprint")
def _fingerprint(i: Json) -> Json:
    return {"fingerprint": ref.fingerprint(an_identity(i)).hex()}


@operation("safety number")
def _safety_number(i: Json) -> Json:
    return {"number": ref.safety_number(an_identity(i["mine"]), an_identity(i["theirs"]))}


@operation("check identity")
def _check_identity(i: Json) -> Json:
    ref.check_identity(an_identity(i))
    return {}




# An Ed25519 public key with an odd x: as an X25519 key it would not be canonical.
NEGATIVE_KEY = next(
    key for key in (ref.sign_public(bytes([n]) * 32) for n in range(99)) if key[31] >= 0x80
)


def identity_cases() -> Iterator[Json]:
    a = ref.IdentityKeys(b"\x01" * 32, b"\x02" * 32)
    b = ref.IdentityKeys(b"\x03" * 32, b"\x04" * 32)
    people = [a, b, *(some_keys(f"identity-{n}") for n in range(6))]
    for n, keys in enumerate(people):
        yield case(f"identity-{n}", "ID-01", "public keys of an identity", "identity",
                   keys_json(keys))  # fmt: skip
        yield case(f"fingerprint-{n}", "ID-01", "fingerprint", "fingerprint",
                   identity_json(keys.public))  # fmt: skip
    for n, m in ((0, 1), (1, 0), (0, 0), (2, 3), (3, 2), (4, 5), (6, 7), (7, 0)):
        yield case(f"safety-number-{n}-{m}", "ID-03", "the same from both sides", "safety number", {
            "mine": identity_json(people[n].public),
            "theirs": identity_json(people[m].public)})  # fmt: skip
    good = a.public
    swapped = ref.Identity(good.dh_key, good.sign_key)
    yield case("safety-number-swapped", "ID-01 ID-03", "the keys in the other order",
               "safety number", {"mine": identity_json(swapped),
                                 "theirs": identity_json(b.public)})  # fmt: skip
    for name, identity, what in (
        ("good", good, None),
        ("dh-not-on-ed25519", ref.Identity(good.sign_key, little(2)), None),
        ("sign-small", ref.Identity(SMALL_SIGN, good.dh_key),
         "the signature key is of small order"),
        ("sign-not-canonical", ref.Identity(little(ref.P + 3), good.dh_key),
         "y of the signature key is p + 3"),
        ("sign-not-on-curve", ref.Identity(little(2), good.dh_key),
         "the signature key is 2: a DH key, but no point of Ed25519"),
        ("dh-small", ref.Identity(good.sign_key, SMALL_DH), "the DH key is of small order"),
        ("dh-not-canonical", ref.Identity(good.sign_key, little(ref.P + 9)),
         "u of the DH key is p + 9"),
        ("dh-top-bit", ref.Identity(good.sign_key, NEGATIVE_KEY),
         "the DH key is a signature key with its top bit set"),
        ("swapped", swapped, "the two keys change places"),
    ):
        reason = "bad-key" if what else None
        yield case(f"identity-check-{name}", "ID-02 FORM-04", name, "check identity",
                   identity_json(identity), reason,
                   parent="identity-check-good" if what else None, mutation=what)  # fmt: skip
    yield case("identity-check-sign-top-bit", "ID-02 FORM-04",
               "a signature key may have its top bit set", "check identity",
               identity_json(ref.Identity(NEGATIVE_KEY, good.dh_key)))  # fmt: skip
