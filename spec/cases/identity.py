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
    for name, identity, reason in (
        ("good", good, None),
        ("sign-small", ref.Identity(SMALL_SIGN, good.dh_key), "bad-key"),
        ("dh-small", ref.Identity(good.sign_key, SMALL_DH), "bad-key"),
        ("dh-not-canonical", ref.Identity(good.sign_key, little(ref.P + 9)), "bad-key"),
    ):
        yield case(f"identity-check-{name}", "ID-02", name, "check identity",
                   identity_json(identity), reason)  # fmt: skip
