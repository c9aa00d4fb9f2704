"""message.json (chapter 11)."""

from collections.abc import Iterator
from typing import Any

from spec.cases.common import (
    Json,
    Stream,
    case,
    changed_byte,
    operation,
    tagged,
    un,
    un_maybe,
    untagged,
)

from spec import reference as ref


@operation("seal message")
def _seal_message(i: Json) -> Json:
    made = ref.seal_message(untagged(i["header"]), un(i["context"]), un(i["message_key"]),
                            un(i["content"]), un(i["fresh"]), un_maybe(i["room_seed"]))  # fmt: skip
    return {"message": made.message.hex(), "id": made.id.hex(), "key": made.key.hex()}


@operation("open message")
def _open_message(i: Json) -> Json:
    content = ref.open_message(un(i["message"]), un(i["context"]), un(i["message_key"]), i["mode"],
                               un(i["room_sign_key"]))  # fmt: skip
    return {"content": content.hex()}


@operation("message id")
def _message_id(i: Json) -> Json:
    return {"id": ref.message_id(un(i["header"]), un(i["body"])).hex()}


@operation("ciphertext size")
def _ciphertext_size(i: Json) -> Json:
    return {"size": ref.ciphertext_size(i["header"], i["authenticator"], i["content"])}


TEXT = ref.build("text", 1_700_000_000, None, 259_200, None, "hello")


def scene() -> tuple[Stream, bytes, bytes, bytes, bytes, bytes, bytes, bytes]:
    """A stream, and from it: room, transcript, sender, context, message key, room seed, fresh."""
    random = Stream("message")
    room, transcript, sender, context, key = (random(32) for _ in range(5))
    return random, room, transcript, sender, context, key, random(32), random(16)


def message_cases() -> Iterator[Json]:
    random, room, transcript, sender, context, key, seed, fresh = scene()
    header: list[Any] = [room, transcript[:8], sender, 7, bytes(16), None, 0, None]
    turn = [random(32), random(32), random(48), None]
    text = TEXT
    headers: dict[str, list[Any]] = {
        "first": [*header[:3], 0, *header[4:]],
        "plain": header,
        "last-index": [*header[:3], 2**32 - 1, *header[4:]],
        "last-spoken": [*header[:5], [random(8), 300], 0, None],
        "turn": [*header[:7], turn],
        "turn-entry": [*header[:7], [*turn[:3], random(211)]],
    }
    for name, its_header in headers.items():
        for mode, its_seed in (("direct", None), ("signed", seed.hex())):
            turned = " DIR-05" if mode == "direct" and "turn" in name else ""
            yield case(f"message-seal-{mode}-{name}", f"MSG-01 MSG-02 MSG-03 MSG-04{turned}", name,
                       "seal message", {
                           "header": tagged(its_header), "context": context.hex(),
                           "message_key": key.hex(), "content": text.hex(), "fresh": fresh.hex(),
                           "room_seed": its_seed}, features=mode)  # fmt: skip
    for size in (0, 1, 255, 256, 300, 1_000, 5_000):
        for mode, its_seed in (("direct", None), ("signed", seed.hex())):
            yield case(f"message-seal-{mode}-{size}", "MSG-03 MSG-04", "a content of this length",
                       "seal message", {
                           "header": tagged(header), "context": context.hex(),
                           "message_key": key.hex(), "content": (b"\x5a" * size).hex(),
                           "fresh": fresh.hex(), "room_seed": its_seed},
                       features=mode)  # fmt: skip
    h = len(ref.build("header", *header))
    c = next(c for c in range(65_792, 81_920) if ref.ciphertext_size(h, 64, c) > 81_920)
    for name, size, reason in (("largest", c - 1, None), ("past", c, "too-large")):
        yield case(f"message-seal-signed-{name}", "MSG-03 LIMIT-04",
                   "the largest content whose body is within its limit" if reason is None
                   else "one byte more: the body would be padded past its limit",
                   "seal message", {
                       "header": tagged(header), "context": context.hex(),
                       "message_key": key.hex(), "content": bytes(size).hex(),
                       "fresh": fresh.hex(), "room_seed": seed.hex()}, reason,
                   parent="message-seal-signed-largest" if reason else None,
                   mutation="one byte more" if reason else None, features="signed")  # fmt: skip
    for h, a in ((103, 64), (103, 32), (255, 64), (256, 64), (117, 32), (450, 32)):
        for c in (0, 1, 100, 238, 239, 240, 241, 255, 256, 257, 268, 269, 270, 271, 272, 273, 780,
                  16_000, 16_200, 65_000, 65_400, 65_535, 65_536, 65_792):  # fmt: skip
            yield case(f"message-size-{h}-{a}-{c}", "MSG-04", "length of the ciphertext",
                       "ciphertext size", {"header": h, "authenticator": a,
                                           "content": c})  # fmt: skip
    example: list[Any] = [b"\xaa" * 32, un("1122334455667788"),
               un("ba96d4c4bca93662fe996d3d8fd5ea537d336b25e70735f181b7dc87373259d7"), 7,
               bytes(range(16)), [un("0102030405060708"), 300], 0, None]  # fmt: skip
    yield case("message-id-example", "MSG-02", "the header of 5.8", "message id",
               {"header": ref.build("header", *example).hex(),
                "body": bytes(17).hex()})  # fmt: skip
    yield from open_cases()


def open_cases() -> Iterator[Json]:
    _, room, transcript, sender, context, key, seed, fresh = scene()
    header: list[Any] = [room, transcript[:8], sender, 7, bytes(16), None, 0, None]
    public, other, other_seed = ref.sign_public(seed), Stream("message-other")(32), bytes(32)
    direct = ref.seal_message(header, context, key, TEXT, fresh, None)
    signed = ref.seal_message(header, context, key, TEXT, fresh, seed)
    raised = [*header[:6], 1, None]
    with_flag = ref.seal_message(raised, context, key, TEXT, fresh, seed)

    def opened(
        name: str, message: bytes, mode: int, reason: str | None = None, what: str | None = None,
        *, with_key: bytes = key, with_context: bytes = context, spec: str = "", comment: str = "",
    ) -> Json:  # fmt: skip
        mode_name = "direct" if mode == ref.DIRECT else "signed"
        return case(f"message-open-{name}", f"MSG-05 CHAIN-03 {spec}".strip(), comment or name,
                    "open message", {
                        "message": message.hex(), "context": with_context.hex(),
                        "message_key": with_key.hex(), "mode": mode,
                        "room_sign_key": public.hex()}, reason, features=mode_name,
                    parent=f"message-open-{mode_name}" if reason else None,
                    mutation=what)  # fmt: skip

    def remade(*parts: Any) -> bytes:
        return ref.encode([1, 16, *parts])

    def resigned(made: ref.SealedMessage, ciphertext: bytes, by: bytes = seed) -> bytes:
        return ref.sign(by, b"message", made.header, made.com, ref.H(b"ciphertext", ciphertext))

    yield opened("direct", direct.message, 0, spec="MSG-01")
    yield opened("signed", signed.message, 1, spec="MSG-01")
    yield opened("flag", with_flag.message, 1, spec="MSG-01")
    head, body, com = ref.parse(direct.message, "message")
    its_head, its_body, signature = ref.parse(signed.message, "message")

    # Keys, contexts and signers of others.
    yield opened("direct-other-key", direct.message, 0, "bad-commitment",
                 "opened with another message key", with_key=other)  # fmt: skip
    yield opened("signed-other-key", signed.message, 1, "bad-signature",
                 "opened with another message key", with_key=other)  # fmt: skip
    yield opened("direct-other-context", direct.message, 0, "bad-commitment",
                 "opened in another context", with_context=other)  # fmt: skip
    yield opened("signed-other-context", signed.message, 1, "bad-signature",
                 "opened in another context", with_context=other)  # fmt: skip
    by_another = remade(its_head, its_body, resigned(signed, its_body, other_seed))
    yield opened("signed-by-another", by_another, 1, "bad-signature",
                 "signed with the room signature key of another")  # fmt: skip
    for name, place, value, what in (
        ("room", 0, other, "another room in the header"),
        ("prefix", 1, other[:8], "the prefix of another epoch in the header"),
        ("sender", 2, other, "another sender in the header"),
        ("index", 3, 8, "another index in the header"),
        ("last-spoken", 5, [other[:8], 1], "last spoken put into the header"),
        ("flags", 6, 1, "the flag of the header raised"),
    ):
        fields = ref.parse(head, "header")
        fields[place] = value
        yield opened(f"direct-{name}-changed", remade(ref.encode([1, 15, *fields]), body, com), 0,
                     "bad-commitment", what, spec="MSG-01")  # fmt: skip
        fields = ref.parse(its_head, "header")
        fields[place] = value
        moved = signed._replace(header=ref.encode([1, 15, *fields]))
        yield opened(f"signed-{name}-changed",
                     remade(moved.header, its_body, resigned(moved, its_body)), 1, "bad-signature",
                     f"{what}, and signed anew over the old com", spec="MSG-01")  # fmt: skip

    # Header, ciphertext and authenticator.
    zeros, unpadded = ref.encrypt(direct.key, bytes(32)), ref.encrypt(signed.key, b"no padding")
    changed = changed_byte(its_body)
    for name, message, mode, reason, what in (
        ("direct-as-signed", direct.message, 1, "bad-form",
         "opened in signed mode: a message of a direct room"),
        ("signed-as-direct", signed.message, 0, "bad-form",
         "opened in direct mode: a message of a group"),
        ("direct-com-changed", remade(head, body, changed_byte(com)), 0, "bad-commitment",
         "the last byte of com changed"),
        ("direct-body-changed", remade(head, changed_byte(body), com), 0, "bad-ciphertext",
         "the last byte of the ciphertext changed"),
        ("direct-body-of-another", remade(head, ref.encrypt(other, bytes(32)), com), 0,
         "bad-ciphertext", "a ciphertext of another key"),
        ("signed-body-changed", remade(its_head, changed, signature), 1, "bad-signature",
         "the last byte of the ciphertext changed"),
        ("signed-signature-changed", remade(its_head, its_body, changed_byte(signature, 0)), 1,
         "bad-signature", "the first byte of the signature changed"),
        ("signed-s-changed", remade(its_head, its_body, changed_byte(signature, 32)), 1,
         "bad-signature", "the first byte of S changed"),
        ("signed-body-resigned", remade(its_head, changed, resigned(signed, changed)), 1,
         "bad-ciphertext", "the last byte of the ciphertext changed, and signed anew"),
        ("signed-no-padding", remade(its_head, unpadded, resigned(signed, unpadded)), 1,
         "bad-padding", "a plaintext without padding"),
        ("direct-zeros", remade(head, zeros, com), 0, "bad-padding",
         "a plaintext of zero bytes alone"),
        ("direct-salt-changed", remade(changed_byte(head, -4), body, com), 0, "bad-commitment",
         "the last byte of the salt changed"),
        ("header-not-a-header", remade(b"\xc0", body, com), 0, "bad-form",
         "the encoding of nil in the place of the header"),
        ("header-trailing", remade(head + b"\0", body, com), 0, "trailing-bytes",
         "a zero byte put in at the end of the header"),
        ("header-of-another-type", remade(ref.build("leave request", room, sender, other), body,
                                          com), 0, "wrong-type",
         "a leave request in the place of the header"),
        ("header-version-2", remade(b"\x9a\x02" + head[2:], body, com), 0, "wrong-version",
         "the version of the header is 2"),
        ("header-array", remade(ref.decode(head, 2_048), body, com), 0, "bad-form",
         "an array in the place of the encoded header"),
        ("authenticator-33", remade(head, body, com + b"\0"), 0, "bad-form",
         "a zero byte put in at the end of com"),
        ("authenticator-31", remade(head, body, com[:31]), 0, "bad-form",
         "the last byte of com left out"),
        ("authenticator-63", remade(its_head, its_body, signature[:63]), 1, "bad-form",
         "the last byte of the signature left out"),
        ("authenticator-65", remade(its_head, its_body, signature + b"\0"), 1, "too-large",
         "a zero byte put in at the end of the signature"),
        ("body-16", remade(head, body[:16], com), 0, "bad-form",
         "only 16 bytes of the ciphertext left"),
        ("truncated", direct.message[:-1], 0, "truncated", "the last byte left out"),
        ("empty", b"", 0, "truncated", "no bytes at all"),
    ):
        spec = "MSG-07 FORM-02" if name.startswith("header") else ""
        if name == "header-array":
            spec += " WIRE-17"
        yield opened(name, message, mode, reason, what, spec=spec)
    bad_head = changed_byte(head, -4)
    for name, message, mode, reason, what, order in (
        ("message-before-header", remade(b"\xc0", body[:16], com), 0, "bad-form",
         "only 16 bytes of the ciphertext left, and the encoding of nil as header",
         "the message, then the header"),
        ("fields-before-header", remade(b"\xc0", body, signature + b"\0"), 1, "too-large",
         "the encoding of nil as header, and an authenticator of 65 bytes",
         "the message, then the header"),
        ("count-before-header", remade(head + b"\0", body, com, None), 0, "bad-form",
         "a zero byte put in at the end of the header, and nil as one more field",
         "the message, then the header"),
        ("header-before-length", remade(head + b"\0", body, com[:31] + bytes(10)), 0,
         "trailing-bytes", "a zero byte put in at the end of the header, and com of 41 bytes",
         "the header, then the length of the authenticator"),
        ("length-before-com", remade(bad_head, body, com + b"\0"), 0, "bad-form",
         "the last byte of the salt changed, and a zero byte put in at the end of com",
         "the length of the authenticator, then com"),
        ("com-before-body", remade(head, changed_byte(body), changed_byte(com)), 0,
         "bad-commitment", "the last byte of the ciphertext changed, and the last byte of com",
         "com, then the ciphertext"),
        ("signature-before-body", remade(its_head, changed, changed_byte(signature, 0)), 1,
         "bad-signature", "the last byte of the ciphertext changed, and the first of the signature",
         "the signature, then the ciphertext"),
        ("signature-before-padding", remade(its_head, unpadded, signature), 1, "bad-signature",
         "a plaintext without padding, under the old signature", "the signature, then the padding"),
        ("body-before-padding", remade(head, changed_byte(zeros), com), 0, "bad-ciphertext",
         "a plaintext of zero bytes alone, and the last byte of the ciphertext changed",
         "the ciphertext, then the padding"),
    ):
        yield opened(name, message, mode, reason, what, spec="MSG-07",
                     comment=f"two faults: {order}")  # fmt: skip
