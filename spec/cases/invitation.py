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
    for name, package, index, reason in (
        ("prekey-0", keys, 0, None), ("prekey-3", keys, 3, None), ("last-resort", last, None, None),
        ("prekey-nil", keys, None, "used-package"), ("prekey-4", keys, 4, "used-package"),
        ("last-resort-0", last, 0, "used-package"),
    ):  # fmt: skip
        yield case(f"invitation-seal-{name}", "INV-02 INV-03 ID-08", name, "seal invitation", {
            "inviter": keys_json(inviter), "package": package.package.signed.hex(), "index": index,
            "welcome": welcome.hex(), "ephemeral": ephemeral.hex()}, reason)  # fmt: skip

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
    for name, its_owner, package, data, reason in (
        ("prekey-1", owner, keys, good, None),
        ("prekey-0", owner, keys, sealed(keys, 0), None),
        ("last-resort", last_owner, last, sealed(last, None), None),
        ("suite-2", owner, keys, changed((0, 2)), "unknown-suite"),
        ("suite-before-package", owner, keys, changed((0, 2), (3, bytes(32))), "unknown-suite"),
        ("other-package", owner, other, good, "unknown-package"),
        ("package-changed", owner, keys, changed((3, bytes(32))), "unknown-package"),
        ("prekey-nil", owner, keys, changed((4, None)), "used-package"),
        ("prekey-4", owner, keys, changed((4, 4)), "bad-form"),
        ("prekey-true", owner, keys, changed((4, True)), "bad-form"),
        ("prekey-other", owner, keys, changed((4, 2)), "bad-ciphertext"),
        ("prekey-of-last-resort", last_owner, last,
         ref.encode([1, 5, *[*fields[:3], last.package.hash, *fields[4:]]]), "used-package"),
        ("prekey-used", owner, used, good, "used-package"),
        ("from-itself", owner, keys, own, "wrong-identity"),
        ("inviter-small-sign-key", owner, keys, changed((1, SMALL_SIGN)), "bad-key"),
        ("inviter-small-dh-key", owner, keys, changed((2, SMALL_DH)), "bad-key"),
        ("inviter-other", owner, keys, changed((1, impostor.sign_key), (2, impostor.dh_key)),
         "bad-ciphertext"),
        ("inviter-other-sign-key", owner, keys, changed((1, impostor.sign_key)), "bad-ciphertext"),
        ("ephemeral-small", owner, keys, changed((5, SMALL_DH)), "bad-key"),
        ("ephemeral-not-canonical", owner, keys, changed((5, little(ref.P + 9))), "bad-key"),
        ("ephemeral-other", owner, keys, changed((5, little(9))), "bad-ciphertext"),
        ("sealed-changed", owner, keys, changed((6, changed_byte(fields[6]))), "bad-ciphertext"),
        ("sealed-15", owner, keys, changed((6, bytes(15))), "bad-form"),
        ("truncated", owner, keys, good[:-1], "truncated"),
        ("other-type", owner, keys, ref.encode([1, 4, *fields]), "wrong-type"),
    ):  # fmt: skip
        yield case(f"invitation-open-{name}", "INV-03 INV-04", name, "open invitation", {
            "owner": keys_json(its_owner), "package": package_keys_json(package),
            "invitation": data.hex()}, reason)  # fmt: skip
