"""The smallest useful harness (spec 21): imitate it in your language, then fill in the rest."""

import hashlib
import json
import sys
from typing import Any

import msgpack
from nacl import bindings as sodium


class Stop(Exception):
    """Stop("reject", reason) where an algorithm fails, Stop("skip", why) where it is not done."""


def value(v: Any) -> Any:  # of chapter 4, from its JSON: bin, str and large integers are marked
    if isinstance(v, dict):
        ((kind, text),) = v.items()
        return bytes.fromhex(text) if kind == "bin" else int(text) if kind == "uint" else text
    return [value(item) for item in v] if isinstance(v, list) else v


def kdf(i: Any) -> Any:
    if len(key := bytes.fromhex(i["key"])) != 32:
        raise Stop("reject", "bad-input")
    data = msgpack.packb([bytes.fromhex(i["label"]), *value(i["parts"])])
    return {"output": hashlib.blake2b(data, key=key, digest_size=i["size"]).hexdigest()}


def dh(i: Any) -> Any:
    private, public = bytes.fromhex(i["private"]), bytes.fromhex(i["public"])
    if len(private) != 32:
        raise Stop("reject", "bad-input")
    if len(public) != 32 or int.from_bytes(public, "little") >= 2**255 - 19:
        raise Stop("skip", "REQ-PRIM-03 is still to be done, and libsodium does not do it")
    try:
        return {"shared": sodium.crypto_scalarmult(private, public).hex()}
    except RuntimeError:  # what PyNaCl makes of a shared secret that is zero
        raise Stop("reject", "bad-key") from None


def unpad(i: Any) -> Any:
    head, mark, zeros = bytes.fromhex(i["padded"]).rpartition(b"\x80")
    if not mark or zeros.strip(b"\0"):
        raise Stop("reject", "bad-padding")
    return {"data": head.hex()}


OPERATIONS = {"kdf": kdf, "dh": dh, "unpad": unpad}  # the others of 20.5 hang here
HELLO = {"protocol": 1, "name": "template", "version": "0", "spec": "1.0-draft.1",
         "operations": sorted(OPERATIONS), "features": []}  # fmt: skip
for line in sys.stdin.buffer:
    request = json.loads(line)
    try:
        made = {} if "hello" in request else {"ok": OPERATIONS[request["op"]](request["in"])}
    except Stop as stop:
        made = dict([stop.args])
    except Exception as bug:
        made = {"error": repr(bug)}
    print(json.dumps({"id": request["id"], **made} if made else {"hello": HELLO}), flush=True)
