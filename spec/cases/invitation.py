"""invitation.json (chapter 7)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import (
    SMALL_DH,
    SMALL_SIGN,
    Json,
    Stream,
    case,
    changed_byte,
    identity_keys,
    keys_json,
    little,
    operation,
    package_keys,
    package_keys_json,
    some_keys,
    some_package,
    un,
)

from spec import reference as ref


@operation("seal invitation")
def _seal_invitation(i: Json) -> Json:
    package = ref.read_key_package(un(i["package"]))
    sealed = ref.seal_invitation(identity_keys(i["inviter"]), package, i["index"], un(i["welcome"]),
                                 lambda _: un(i["ephemeral"]))  # fmt: skip
    return {"invitation": sealed.hex()}


@operation("open invitation")
def _open_invitation(i: Json) -> Json:
    keys = package_keys(i["package"])
    return {"welcome": ref.open_invitation(identity_keys(i["owner"]), keys,
                                           un(i["invitation"])).hex()}  # fmt: skip


def invitation_cases() -> Iterator[Json]:
    inviter = some_keys("invitation-inviter")
    owner, keys = some_package("invitation-owner")
    last_owner, last = some_package("invitation-last", last_resort=True)
    _, other = some_package("invitation-other")
    welcome, ephemeral = Stream("invitation-welcome")(200), Stream("invitation-ephemeral")(32)
    for name, package, index, of, what in (
        ("prekey-0", keys, 0, None, None), ("prekey-3", keys, 3, None, None),
        ("last-resort", last, None, None, None),
        ("prekey-nil", keys, None, "prekey-0", "no prekey of a one-time package"),
        ("prekey-4", keys, 4, "prekey-0", "the prekey is 4"),
        ("last-resort-0", last, 0, "last-resort", "prekey 0 of a last-resort package"),
    ):  # fmt: skip
        yield case(f"invitation-seal-{name}", "INV-02 INV-03 ID-08 PRIM-18", name,
                   "seal invitation", {
            "inviter": keys_json(inviter), "package": package.package.signed.hex(), "index": index,
            "welcome": welcome.hex(), "ephemeral": ephemeral.hex()},
            "used-package" if of else None, parent=of and f"invitation-seal-{of}",
            mutation=what)  # fmt: skip

    def sealed(package: ref.KeyPackageKeys, index: int | None) -> bytes:
        return ref.seal_invitation(inviter, package.package, index, welcome, lambda _: ephemeral)

    good, used = sealed(keys, 1), keys._replace(prekeys=[keys.prekeys[0], None, *keys.prekeys[2:]])
    fields = ref.parse(good, "invitation")

    def changed(*changes: tuple[int, Any]) -> bytes:
        result = list(fields)
        for place, value in changes:
            result[place] = value
        return ref.encode([1, 5, *result])

    impostor = some_keys("invitation-impostor").public
    own = ref.seal_invitation(owner, keys.package, 1, welcome, lambda _: ephemeral)

    def opened(
        name: str, data: bytes, reason: str | None = None, what: str | None = None,
        *, package: ref.KeyPackageKeys = keys, comment: str = "",
    ) -> Json:  # fmt: skip
        by = last_owner if package is last else owner
        of = "last-resort" if package is last else "prekey-1"
        spec = "INV-03 INV-04" if reason else "INV-03 INV-04 PRIM-18"
        return case(f"invitation-open-{name}", spec, comment or name, "open invitation", {
            "owner": keys_json(by), "package": package_keys_json(package),
            "invitation": data.hex()}, reason,
            parent=f"invitation-open-{of}" if reason else None, mutation=what)  # fmt: skip

    yield opened("prekey-1", good)
    yield opened("prekey-0", sealed(keys, 0))
    yield opened("last-resort", sealed(last, None), package=last)
    yield opened("other-package", good, "unknown-package",
                 "opened with the keys of another package", package=other)  # fmt: skip
    yield opened("prekey-used", good, "used-package", "the prekey has been erased", package=used)
    to_last = ref.encode([1, 5, *fields[:3], last.package.hash, *fields[4:]])
    yield opened("prekey-of-last-resort", to_last, "used-package",
                 "the fields of an invitation to prekey 1 of another package, for this package",
                 package=last)  # fmt: skip
    for name, data, reason, what in (
        ("suite-2", changed((0, 2)), "unknown-suite", "the suite is 2"),
        ("package-changed", changed((3, bytes(32))), "unknown-package",
         "32 zero bytes as hash of the package"),
        ("prekey-nil", changed((4, None)), "used-package", "nil as prekey"),
        ("prekey-4", changed((4, 4)), "bad-form", "the prekey is 4"),
        ("prekey-true", changed((4, True)), "bad-form", "true as prekey"),
        ("prekey-other", changed((4, 2)), "bad-ciphertext", "the prekey is 2"),
        ("from-itself", own, "wrong-identity", "sealed by the invited itself"),
        ("inviter-small-sign-key", changed((1, SMALL_SIGN)), "bad-key",
         "the signature key of the inviter is of small order"),
        ("inviter-small-dh-key", changed((2, SMALL_DH)), "bad-key",
         "the DH key of the inviter is of small order"),
        ("inviter-not-canonical", changed((2, little(ref.P + 9))), "bad-key",
         "u of the DH key of the inviter is p + 9"),
        ("inviter-other", changed((1, impostor.sign_key), (2, impostor.dh_key)), "bad-ciphertext",
         "the identity of another as inviter"),
        ("inviter-other-sign-key", changed((1, impostor.sign_key)), "bad-ciphertext",
         "the signature key of another as that of the inviter"),
        ("inviter-other-dh-key", changed((2, impostor.dh_key)), "bad-ciphertext",
         "the DH key of another as that of the inviter"),
        ("ephemeral-small", changed((5, SMALL_DH)), "bad-key",
         "the ephemeral key is of small order"),
        ("ephemeral-not-canonical", changed((5, little(ref.P + 9))), "bad-key",
         "u of the ephemeral key is p + 9"),
        ("ephemeral-other", changed((5, little(9))), "bad-ciphertext", "another ephemeral key"),
        ("sealed-changed", changed((6, changed_byte(fields[6]))), "bad-ciphertext",
         "the last byte of the tag changed"),
        ("sealed-15", changed((6, bytes(15))), "bad-form", "15 zero bytes as sealed welcome"),
        ("truncated", good[:-1], "truncated", "the last byte left out"),
        ("other-type", ref.encode([1, 4, *fields]), "wrong-type", "the type is 4, that of a card"),
        ("version-2", ref.encode([2, 5, *fields]), "wrong-version", "the version is 2"),
    ):  # fmt: skip
        yield opened(name, data, reason, what)
    mine = ((1, owner.public.sign_key), (2, owner.public.dh_key))
    for name, data, reason, what, order in (
        ("form-before-suite", changed((0, 2), (4, 4)), "bad-form",
         "the suite is 2, the prekey 4", "the form, then the suite"),
        ("suite-before-package", changed((0, 2), (3, bytes(32))), "unknown-suite",
         "the suite is 2, and 32 zero bytes stand as hash of the package",
         "the suite, then the package"),
        ("package-before-prekey", changed((3, bytes(32)), (4, None)), "unknown-package",
         "32 zero bytes as hash of the package, nil as prekey", "the package, then the prekey"),
        ("prekey-before-inviter", changed((4, None), *mine), "used-package",
         "nil as prekey, and the invited itself as inviter", "the prekey, then the inviter"),
        ("prekey-before-keys", changed((4, None), (1, SMALL_SIGN)), "used-package",
         "nil as prekey, and a signature key of small order", "the prekey, then the keys"),
        ("inviter-before-ephemeral", changed(*mine, (5, SMALL_DH)), "wrong-identity",
         "the invited itself as inviter, and an ephemeral key of small order",
         "the inviter, then the ephemeral key"),
        ("inviter-before-sealed", changed(*mine), "wrong-identity",
         "the invited itself as inviter of what another has sealed",
         "the inviter, then what is sealed"),
        ("keys-before-sealed", changed((1, SMALL_SIGN), (6, changed_byte(fields[6]))), "bad-key",
         "a signature key of small order, and the last byte of the tag changed",
         "the keys, then what is sealed"),
    ):
        yield opened(name, data, reason, what, comment=f"two faults: {order}")
    yield opened("used-before-inviter", changed(*mine), "used-package",
                 "the prekey has been erased, and the invited itself stands as inviter",
                 package=used, comment="two faults: the prekey, then the inviter")  # fmt: skip
