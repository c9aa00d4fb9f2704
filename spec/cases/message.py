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


def message_cases() -> Iterator[Json]:
    random = Stream("message")
    room, transcript, sender, context, key = (random(32) for _ in range(5))
    seed, fresh = random(32), random(16)
    header = [room, transcript[:8], sender, 7, bytes(16), None, 0, None]
    turn = [random(32), random(32), random(48), None]
    text = ref.build("text", 1_700_000_000, None, 259_200, None, "hello")
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
            yield case(f"message-seal-{mode}-{name}", "MSG-01 MSG-02 MSG-03 MSG-04", name,
                       "seal message", {
                           "header": tagged(its_header), "context": context.hex(),
                           "message_key": key.hex(), "content": text.hex(), "fresh": fresh.hex(),
                           "room_seed": its_seed})  # fmt: skip
    for size in (0, 1, 255, 256, 300, 1_000, 5_000):
        for mode, its_seed in (("direct", None), ("signed", seed.hex())):
            yield case(f"message-seal-{mode}-{size}", "MSG-03 MSG-04", "a content of this length",
                       "seal message", {
                           "header": tagged(header), "context": context.hex(),
                           "message_key": key.hex(), "content": (b"\x5a" * size).hex(),
                           "fresh": fresh.hex(), "room_seed": its_seed})  # fmt: skip
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
    direct = ref.seal_message(header, context, key, text, fresh, None)
    signed = ref.seal_message(header, context, key, text, fresh, seed)
    public = ref.sign_public(seed)

    def remade(parts: list[bytes]) -> bytes:
        return ref.encode([1, 16, *parts])

    def resigned(made: ref.SealedMessage, ciphertext: bytes) -> bytes:
        return ref.sign(
            seed, b"message", made.header, made.com, ref.H(b"ciphertext", ciphertext)
        )

    head, body, com = ref.parse(direct.message, "message")
    its_head, its_body, signature = ref.parse(signed.message, "message")
    unpadded = ref.encrypt(signed.key, b"no padding")
    zeros = ref.encrypt(direct.key, bytes(32))
    raised = [*header[:6], 1, None]
    with_flag = ref.seal_message(raised, context, key, text, fresh, seed)
    other = random(32)
    opened: list[tuple[str, bytes, int, bytes, bytes, str | None]] = [
        ("direct", direct.message, 0, key, context, None),
        ("signed", signed.message, 1, key, context, None),
        ("flag", with_flag.message, 1, key, context, None),
        ("direct-other-key", direct.message, 0, other, context, "bad-commitment"),
        ("signed-other-key", signed.message, 1, other, context, "bad-signature"),
        ("direct-other-context", direct.message, 0, key, other, "bad-commitment"),
        ("signed-other-context", signed.message, 1, key, other, "bad-signature"),
        ("direct-as-signed", direct.message, 1, key, context, "bad-form"),
        ("signed-as-direct", signed.message, 0, key, context, "bad-form"),
        ("direct-com-changed", remade([head, body, changed_byte(com)]), 0, key, context,
         "bad-commitment"),
        ("direct-body-changed", remade([head, changed_byte(body), com]), 0, key, context,
         "bad-ciphertext"),
        ("signed-body-changed", remade([its_head, changed_byte(its_body), signature]), 1, key,
         context, "bad-signature"),
        ("signed-signature-changed", remade([its_head, its_body, changed_byte(signature, 0)]), 1,
         key, context, "bad-signature"),
        ("signed-body-resigned", remade([its_head, changed_byte(its_body),
                                         resigned(signed, changed_byte(its_body))]), 1, key,
         context, "bad-ciphertext"),
        ("signed-no-padding", remade([its_head, unpadded, resigned(signed, unpadded)]), 1, key,
         context, "bad-padding"),
        ("direct-zeros", remade([head, zeros, com]), 0, key, context, "bad-padding"),
        ("direct-salt-changed", remade([changed_byte(head, -4), body, com]), 0, key, context,
         "bad-commitment"),
        ("header-not-a-header", remade([b"\xc0", body, com]), 0, key, context, "bad-form"),
        ("header-trailing", remade([head + b"\0", body, com]), 0, key, context, "trailing-bytes"),
        ("authenticator-33", remade([head, body, com + b"\0"]), 0, key, context, "bad-form"),
        ("authenticator-31", remade([head, body, com[:31]]), 0, key, context, "bad-form"),
        ("authenticator-65", remade([its_head, its_body, signature + b"\0"]), 1, key, context,
         "too-large"),
        ("body-16", remade([head, body[:16], com]), 0, key, context, "bad-form"),
        ("truncated", direct.message[:-1], 0, key, context, "truncated"),
        ("empty", b"", 0, key, context, "truncated"),
    ]  # fmt: skip
    for name, message, mode_number, its_key, its_context, reason in opened:
        yield case(f"message-open-{name}", "MSG-05 CHAIN-03", name, "open message", {
            "message": message.hex(), "context": its_context.hex(), "message_key": its_key.hex(),
            "mode": mode_number, "room_sign_key": public.hex()}, reason)  # fmt: skip
