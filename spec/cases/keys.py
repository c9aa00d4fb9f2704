"""dh.json, ed25519.json: key agreement and signatures (chapter 3)."""

from collections.abc import Iterator

from spec.cases.common import (
    COUNTING,
    Json,
    Stream,
    case,
    check_sign_key_noted,
    difference,
    little,
    operation,
    tagged,
    un,
    untagged,
    verify_bytes_noted,
)
from spec.cases.kdf import PART_LISTS

from spec import reference as ref


@operation("dh")
def _dh(i: Json) -> Json:
    return {"shared": ref.DH(un(i["private"]), un(i["public"])).hex()}


@operation("dh public")
def _dh_public(i: Json) -> Json:
    return {"public": ref.dh_public(un(i["private"])).hex()}


@operation("check dh key")
def _check_dh_key(i: Json) -> Json:
    ref.check_dh_key(un(i["public"]))
    return {}


@operation("sign")
def _sign(i: Json) -> Json:
    signature = ref.sign(un(i["seed"]), un(i["label"]), *untagged(i["parts"]))
    return {"public": ref.sign_public(un(i["seed"])).hex(), "signature": signature.hex()}


@operation("verify")
def _verify(i: Json) -> Json:
    message = ref.encode([b"Evanesce 1", un(i["label"]), *untagged(i["parts"])])
    verify_bytes_noted(un(i["public"]), un(i["signature"]), ref.note("message", message))
    return {}


@operation("verify bytes")
def _verify_bytes(i: Json) -> Json:
    verify_bytes_noted(un(i["public"]), un(i["signature"]), un(i["message"]))
    return {}


@operation("check sign key")
def _check_sign_key(i: Json) -> Json:
    check_sign_key_noted(un(i["public"]))
    return {}


def dh_cases() -> Iterator[Json]:
    yield case("dh-rfc7748", "PRIM-03", "the first vector of RFC 7748, 5.2", "dh", {
        "private": "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "public": "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"})  # fmt: skip
    for n in range(4):
        random = Stream(f"dh-random-{n}")
        private, public = random(32), ref.dh_public(random(32))
        yield case(f"dh-random-{n}", "PRIM-03", "random keys", "dh",
                   {"private": private.hex(), "public": public.hex()})  # fmt: skip
        yield case(f"dh-public-{n}", "PRIM-03", "a public key", "dh public",
                   {"private": private.hex()})  # fmt: skip
    private = Stream("dh-private")(32)
    order_8 = un("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
    other_8 = un("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157")
    keys: dict[str, tuple[bytes, str | None, str | None]] = {
        "two": (little(2), None, None),
        "twist": (little(ref.P - 2), None, None),
        "nine": (little(9), None, None),
        "zero": (little(0), "bad-key", "u is 0, a point of small order"),
        "one": (little(1), "bad-key", "u is 1, a point of small order"),
        "minus-one": (little(ref.P - 1), "bad-key", "u is p - 1, a point of small order"),
        "order-8-a": (order_8, "bad-key", "u is that of the first point of order 8"),
        "order-8-b": (other_8, "bad-key", "u is that of the second point of order 8"),
        "p": (little(ref.P), "bad-key", "u is p, which would reduce to 0"),
        "p-plus-1": (little(ref.P + 1), "bad-key", "u is p + 1, which would reduce to 1"),
        "p-plus-2": (little(ref.P + 2), "bad-key", "u is p + 2, which would reduce to 2"),
        "p-plus-9": (little(ref.P + 9), "bad-key", "u is p + 9, which would reduce to 9"),
        "highest": (b"\xff" * 32, "bad-key", "u is 2^256 - 1"),
        "top-bit": (little(9 | 1 << 255), "bad-key", "the top bit is set"),
        "top-bit-zero": (little(1 << 255), "bad-key", "u is 0, and the top bit is set"),
        "top-bit-one": (little(1 | 1 << 255), "bad-key", "u is 1, and the top bit is set"),
        "top-bit-minus-one": (little((ref.P - 1) | 1 << 255), "bad-key",
                              "u is p - 1, and the top bit is set"),
        "top-bit-order-8-a": (order_8[:31] + bytes([order_8[31] | 0x80]), "bad-key",
                              "the first point of order 8, and the top bit is set"),
        "top-bit-order-8-b": (other_8[:31] + bytes([other_8[31] | 0x80]), "bad-key",
                              "the second point of order 8, and the top bit is set"),
        "31-bytes": (bytes([9]) + bytes(30), "bad-key", "the last byte left out"),
        "33-bytes": (bytes([9]) + bytes(32), "bad-key", "a zero byte put in at the end"),
        "empty": (b"", "bad-key", "the public key is empty"),
    }  # fmt: skip
    for name, (public, reason, what) in keys.items():
        of = "nine" if reason else None
        yield case(f"dh-key-{name}", "PRIM-03 PRIM-04", "a public key at a border", "dh",
                   {"private": private.hex(), "public": public.hex()}, reason,
                   parent=of and f"dh-key-{of}", mutation=what)  # fmt: skip
        yield case(f"dh-check-{name}", "PRIM-05", "the same key, checked", "check dh key",
                   {"public": public.hex()}, reason,
                   parent=of and f"dh-check-{of}", mutation=what)  # fmt: skip
    for size in (31, 33):
        short = (private + b"\0")[:size]
        yield case(f"dh-private-{size}", "PRIM-16", "an own key of a wrong length", "dh",
                   {"private": short.hex(), "public": little(9).hex()}, "bad-input",
                   parent="dh-key-nine",
                   mutation=f"private key: {difference(private, short)}")  # fmt: skip


# "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, SSR 2020), from its repository
# novifinancial/ed25519-speccheck (Apache-2.0): message, public key, signature; verifies, is a key.
SPECCHECK = [
    ("8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
     "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
     "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"
     "0000000000000000000000000000000000000000000000000000000000000000", False, False),
    ("9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
     "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
     "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43"
     "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04", False, False),
    ("aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
     "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
     "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"
     "8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e", False, False),
    ("9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
     "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
     "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f"
     "87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009", True, False),
    ("e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
     "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
     "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed512"
     "5ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09", False, False),
    ("e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
     "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
     "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7"
     "e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405", False, False),
    ("85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
     "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
     "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e"
     "547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514", False, True),
    ("85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
     "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
     "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa1942"
     "7e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22", False, True),
    ("9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
     "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
     "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
     "03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f", False, False),
    ("9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
     "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
     "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
     "ca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908", False, False),
    ("e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
     "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
     "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc"
     "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04", False, False),
    ("39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
     "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
     "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc"
     "a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04", False, False),
]  # fmt: skip

SPECCHECK_IS = (  # the table of 3.4
    "S = 0, A and R of small order", "A of small order, R mixed", "R of small order, A mixed",
    "A and R mixed, the equation holds without the cofactor",
    "A and R mixed, the equation holds only with the cofactor",
    "A mixed, R of order L, the equation holds only with the cofactor", "S not less than L",
    "S much larger than L", "R not canonical, of small order", "R not canonical, of small order",
    "A not canonical, of small order", "A not canonical, of small order",
)  # fmt: skip


def ed25519_cases() -> Iterator[Json]:
    for n, (text, its_key, its_signature, verifies, is_key) in enumerate(SPECCHECK):
        about = SPECCHECK_IS[n]
        yield case(f"ed25519-speccheck-{n}", "PRIM-08 PRIM-09 PRIM-10",
                   f"speccheck case {n}, a signature made by itself: {about}",
                   "verify bytes", {"public": its_key, "signature": its_signature,
                                    "message": text},
                   None if verifies else "bad-signature",
                   parent=None if verifies else "ed25519-speccheck-3",
                   mutation=None if verifies else f"another signature: {about}")  # fmt: skip
        yield case(f"ed25519-speccheck-key-{n}", "PRIM-06",
                   f"the key of speccheck case {n}: {about}", "check sign key",
                   {"public": its_key}, None if is_key else "bad-key",
                   parent=None if is_key else "ed25519-speccheck-key-6",
                   mutation=None if is_key else f"the key of speccheck case {n}: {about}",
                   )  # fmt: skip
    for name, comment, parts in PART_LISTS[:10]:
        yield case(f"ed25519-sign-{name}", "PRIM-07", comment, "sign", {
            "seed": COUNTING.hex(), "label": b"commit".hex(), "parts": tagged(parts)})  # fmt: skip
    for word in ("key package", "member entry", "leave request", "commit", "message",
                 "read mailbox"):  # fmt: skip
        name = f"ed25519-sign-label-{word.replace(' ', '-')}"
        yield case(name, "PRIM-07 PRIM-13", "one label of chapter 2", "sign", {
            "seed": Stream(name)(32).hex(), "label": word.encode().hex(),
            "parts": tagged([b"body"])})  # fmt: skip
    seed = Stream("ed25519-verify")(32)
    public, good = ref.sign_public(seed), ref.sign(seed, b"commit", b"a", b"b")
    s = int.from_bytes(good[32:], "little")
    for name, its, signature, label, parts, what in (
        ("good", public, good, b"commit", [b"a", b"b"], None),
        ("other-label", public, good, b"message", [b"a", b"b"], "verified under another label"),
        ("other-part", public, good, b"commit", [b"a", b"c"], "the second part changed"),
        ("other-split", public, good, b"commit", [b"ab"], "both parts joined to one"),
        ("other-key", ref.sign_public(COUNTING), good, b"commit", [b"a", b"b"],
         "the public key of another seed"),
        ("s-plus-l", public, good[:32] + little(s + ref.L), b"commit", [b"a", b"b"],
         "L added to S"),
        ("63-bytes", public, good[:63], b"commit", [b"a", b"b"],
         "the last byte of the signature left out"),
        ("65-bytes", public, good + b"\0", b"commit", [b"a", b"b"],
         "a zero byte put in at the end of the signature"),
        ("key-31-bytes", public[:31], good, b"commit", [b"a", b"b"],
         "the last byte of the public key left out"),
        ("empty", public, b"", b"commit", [b"a", b"b"], "the signature is empty"),
    ):  # fmt: skip
        yield case(f"ed25519-verify-{name}", "PRIM-07 PRIM-08", name, "verify", {
            "public": its.hex(), "signature": signature.hex(), "label": label.hex(),
            "parts": tagged(parts)}, "bad-signature" if what else None,
            parent="ed25519-verify-good" if what else None, mutation=what)  # fmt: skip
    order_8 = un("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
    torsion = [ref.decode_point(order_8) or ref.NEUTRAL]
    while torsion[-1] != ref.NEUTRAL:
        torsion.append(ref.add(torsion[-1], torsion[0]))
    honest = ref.decode_point(public) or ref.NEUTRAL
    keys: list[tuple[str, bytes, str | None]] = [("honest", public, None)]
    keys.append(("base-point", ref.encode_point(ref.BASE), None))
    for n, point in enumerate(torsion):
        multiple = f"{n + 1} times a point of order 8"
        keys.append((f"small-{n}", ref.encode_point(point), f"the key is {multiple}"))
        if point != ref.NEUTRAL:
            mixed = ref.encode_point(ref.add(honest, point))
            keys.append((f"mixed-{n}", mixed, f"{multiple} added to the key"))
    for name, number, what in (
        ("negative-zero", 1 | 1 << 255, "y is 1, and the top bit is set where x is 0"),
        ("minus-one-negative-zero", (ref.P - 1) | 1 << 255,
         "y is p - 1, and the top bit is set where x is 0"),
        ("y-p", ref.P, "y is p"), ("y-p-plus-1", ref.P + 1, "y is p + 1"),
        ("y-p-plus-3", ref.P + 3, "y is p + 3"),
        ("y-p-negative", ref.P | 1 << 255, "y is p, and the top bit is set"),
        ("highest", (1 << 256) - 1, "all bits are set"),
        ("not-on-curve", 2, "y is 2, and no point of the curve has that"),
    ):  # fmt: skip
        keys.append((name, little(number), what))
    keys += [("31-bytes", public[:31], "the last byte left out"),
             ("33-bytes", public + b"\0", "a zero byte put in at the end"),
             ("empty", b"", "the key is empty")]  # fmt: skip
    for name, key, mutation in keys:
        yield case(f"ed25519-key-{name}", "PRIM-06", name, "check sign key",
                   {"public": key.hex()}, "bad-key" if mutation else None,
                   parent="ed25519-key-honest" if mutation else None,
                   mutation=mutation)  # fmt: skip
