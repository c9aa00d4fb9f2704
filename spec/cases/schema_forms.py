"""What `in` and `out` hold, by operation, in the words of `schema`."""

from typing import Any

from spec.cases.schema import Either, Loose, Maybe, Word

ID = KEY = HASH = PRIVATE = 32
IDENTITY = {"sign_key": KEY, "dh_key": KEY}
OWNER = {"seed": PRIVATE, "dh_private": PRIVATE}
MAILBOX = {"address": ID, "envelope_key": KEY, "capability": 16}
MAILBOX_KEYS = {"read_seed": PRIVATE, "envelope_private": PRIVATE, "capability": 16}
PACKAGE_KEYS = {"signed": "hex", "signed_prekey": PRIVATE, "prekeys": [Maybe(PRIVATE)],
                "leaf": PRIVATE, "room_seed": PRIVATE}  # fmt: skip
GUEST = {"package": "hex", "prekey": Maybe("int"), "role": "int"}
PROOFS = [("int", "hex")]  # kind, signed
MEANT = {"sanction": {"member": ID, "role": Maybe("int")}}
OPERATIONS = [Either((MEANT, "values"))]  # of a commit that is to be made
ORDER = ("int", "int", "int", "int", "int")
TRAIL = [(8, Maybe(ORDER))]
ROW = {"member": ID, "name": "text", "mailbox": Maybe(MAILBOX)}
POLICY = ("int", "bool", Maybe("int"), "int")
EPOCH = {"room": ID, "number": "int", "transcript": HASH, "roster": "hex", "policy": POLICY,
         "opener": ID, "handshakes": [KEY], "inits": [KEY]}  # fmt: skip
PLACE = {"number": "int", "transcript": HASH, "context": HASH}
REPEATED = [("hex", "int")]
SIZED = {"type": Word(("bin", "str", "array")), "size": "int"}
EVAPORATION = (Maybe("int"), "int")
NOTHING: dict[str, Any] = {}

PRIMITIVES: dict[str, tuple[Any, Any]] = {
    "kdf": ({"key": Loose(32), "label": "hex", "parts": "values", "size": "int"},
            {"output": "hex"}),
    "hash": ({"label": "hex", "parts": "values"}, {"output": 32}),
    "encrypt": ({"key": 32, "plaintext": "hex"}, {"ciphertext": "hex"}),
    "decrypt": ({"key": 32, "ciphertext": "hex"}, {"plaintext": "hex"}),
    "dh": ({"private": Loose(32), "public": Loose(32)}, {"shared": 32}),
    "dh public": ({"private": PRIVATE}, {"public": KEY}),
    "check dh key": ({"public": Loose(32)}, NOTHING),
    "check sign key": ({"public": Loose(32)}, NOTHING),
    "sign": ({"seed": PRIVATE, "label": "hex", "parts": "values"},
             {"public": KEY, "signature": 64}),
    "verify": ({"public": Loose(32), "signature": Loose(64), "label": "hex", "parts": "values"},
               NOTHING),
    "verify bytes": ({"public": 32, "signature": 64, "message": "hex"}, NOTHING),
}  # fmt: skip

ENCODING: dict[str, tuple[Any, Any]] = {
    "decode": ({"data": "hex", "limit": "int"}, {"value": "value"}),
    "decode long": ({"data": REPEATED, "limit": "int"}, SIZED),
    "parse": ({"form": "text", "data": "hex"}, {"fields": "values"}),
    "parse long": ({"form": "text", "data": REPEATED}, {"fields": [Either(("value", SIZED))]}),
}  # fmt: skip

IDENTITIES: dict[str, tuple[Any, Any]] = {
    "identity": (OWNER, IDENTITY),
    "fingerprint": (IDENTITY, {"fingerprint": HASH}),
    "safety number": ({"mine": IDENTITY, "theirs": IDENTITY}, {"number": "digits"}),
    "check identity": (IDENTITY, NOTHING),
    "make key package": ({
        "owner": OWNER, "contact": MAILBOX, "expiry": "int", "last_resort": "bool",
        "signed_prekey": PRIVATE, "prekeys": [PRIVATE], "leaf": PRIVATE, "room_seed": PRIVATE,
    }, {"signed": "hex", "hash": HASH}),
    "read key package": ({"signed": "hex"}, {
        "suite": "int", "identity": IDENTITY, "signed_prekey": KEY, "prekeys": [KEY],
        "leaf_key": KEY, "room_sign_key": KEY, "contact": MAILBOX, "expiry": "int",
        "last_resort": "bool", "hash": HASH,
    }),
    "choose prekey": ({"signed": "hex", "index": Maybe("int")}, {"prekey": Maybe(KEY)}),
    "read card": ({"card": "hex"}, {"name": "text", "hash": HASH}),
    "seal invitation": ({
        "inviter": OWNER, "package": "hex", "index": Maybe("int"), "welcome": "hex",
        "ephemeral": PRIVATE,
    }, {"invitation": "hex"}),
    "open invitation": ({"owner": OWNER, "package": PACKAGE_KEYS, "invitation": "hex"},
                        {"welcome": "hex"}),
}  # fmt: skip

MEETING = Word(("at", "close"))
HAPPENING = Either(((MEETING, "int"), (MEETING, "int", "int")))
CHAINS: dict[str, tuple[Any, Any]] = {
    "chain step": ({"chain_key": KEY, "index": "int"},
                   {"message_key": KEY, "next_chain_key": KEY}),
    "chain accumulate": ({"chain_key": KEY, "steps": "int"},
                         {"chain_key": KEY, "message_keys": HASH}),
    "message salt": ({"message_key": KEY, "fresh": 16, "padded": "hex"}, {"salt": 16}),
    "message keys": ({"message_key": KEY, "header_hash": HASH}, {"key": KEY, "com": 32}),
    "chain receive": ({"chain_key": KEY, "history": [HAPPENING]}, {
        "outcomes": [Either((KEY, "bool", "reason"))], "index": "int", "closed": "bool",
        "skipped": "int", "lowest": ["int"], "highest": ["int"],
    }),
}  # fmt: skip

CREDENTIAL = {"version": "int", "awaits_refresh": "bool"}
MEMBERS: dict[str, tuple[Any, Any]] = {
    "make member entry": ({"owner": OWNER, "room": ID, "member": ID, "leaf_key": KEY,
                           "room_sign_key": KEY, "version": "int"}, {"signed": "hex"}),
    "read credential": ({"signed": "hex", "room": ID, "member": ID, "identity": IDENTITY},
                        {"leaf_key": KEY, "room_sign_key": KEY, **CREDENTIAL}),
    "make leave request": ({"owner": OWNER, "room": ID, "member": ID, "admission": HASH},
                           {"signed": "hex"}),
    "check leave request": ({"signed": "hex", "room": ID, "roster": "hex"}, {"member": ID}),
    "make resync request": ({"owner": OWNER, "room": ID, "member": ID, "time": "int",
                             "package": "hex"}, {"signed": "hex"}),
    "check resync request": ({"signed": "hex", "suite": "int", "room": ID, "roster": "hex",
                              "time": "int"}, {"member": ID, "package_hash": HASH}),
    "make repair request": ({"owner": OWNER, "room": ID, "member": ID, "prefix": 8, "time": "int"},
                            {"signed": "hex"}),
    "check repair request": ({"signed": "hex", "room": ID, "roster": "hex", "now": "int"},
                             {"member": ID, "prefix": 8}),
    "read roster": ({"roster": "hex", "room": ID}, {"next_seniority": "int", "members": [
        {"member": ID, "role": "int", "seniority": "int", **CREDENTIAL,
         "sponsor": "int", "ranked": "int", "resynced": Maybe("int")}]}),
    "make sanction": ({"owner": OWNER, "room": ID, "member": ID, "admission": HASH, "author": ID,
                       "role": Maybe("int"), "epoch": "int", "spared": Maybe([8])},
                      {"signed": "hex"}),
    "check sanction": ({"signed": "hex", "room": ID, "roster": "hex"},
                       {"member": ID, "author": ID, "role": Maybe("int")}),
    "order of commit": ({"room": ID, "roster": "hex", "parent_time": "int", "committer": ID,
                         "time": "int", "proofs": PROOFS}, {"order": ORDER}),
    "compare trails": ({"mine": TRAIL, "mine_time": "int", "theirs": TRAIL, "theirs_time": "int"},
                       {"wins": "bool"}),
    "apply operations": ({
        "roster": "hex", "policy": POLICY, "suite": "int", "room": ID, "transcript": HASH,
        "number": "int", "committer": ID, "time": "int", "operations": ["values"],
        "proofs": PROOFS,
    }, Either(({"roster": "hex", "policy": POLICY}, {"roster_sha256": 32, "policy": POLICY}))),
    "member id": ({"room": ID, "transcript": HASH, "package_hash": HASH, "index": "int"},
                  {"id": ID}),
    "creator id": ({"room": ID, "identity": IDENTITY}, {"id": ID}),
}  # fmt: skip

EPOCHS: dict[str, tuple[Any, Any]] = {
    "epoch secret": ({"init": KEY, "r": 32, "commit": "hex"}, {"commit_hash": HASH, "secret": KEY}),
    "key schedule": ({"secret": KEY, "commit": "hex", "members": [ID]}, {
        "confirmation": 32, "chains": [KEY], "handshakes": [KEY], "inits": [KEY], "exporter": KEY,
    }),
    "transcript hash": ({"parent": HASH, "commit": "hex", "confirmation": 32},
                        {"transcript": HASH, "prefix": 8}),
    "state hash": ({"roster": "hex", "policy": POLICY}, {"state": HASH}),
    "context": ({"suite": "int", "room": ID, "policy": POLICY, "roster": "hex",
                 "transcript": HASH}, {"context": HASH}),
    "export": ({"exporter": KEY, "label": "hex", "size": "int"}, {"secret": "hex"}),
    "seal slot": ({"r": 32, "ephemeral": PRIVATE, "commit": "hex", "member": ID, "leaf_key": KEY},
                  {"ephemeral_key": KEY, "slot": 48}),
    "open slot": ({"slot": 48, "leaf": PRIVATE, "commit": "hex", "ephemeral_key": KEY,
                   "member": ID}, {"r": 32}),
    "seal commit": ({"handshake": KEY, "room": ID, "prefix": 8, "committer": ID,
                     "signed_commit": "hex", "fresh": 16}, {"sealed_commit": "hex"}),
    "open commit": ({"sealed_commit": "hex", "handshake": KEY}, {"signed_commit": "hex"}),
}  # fmt: skip

FOUNDED = {"room": ID, "me": ID, "confirmation": 32, "signature": Maybe(64), "secret": KEY,
           "transcript": HASH, "context": HASH}  # fmt: skip
ROOMS: dict[str, tuple[Any, Any]] = {
    "found room": ({
        "owner": OWNER, "policy": POLICY, "guests": [GUEST], "name": "text", "mailbox": MAILBOX,
        "now": "int", "random": "hex",
    }, Either(({**FOUNDED, "genesis": "hex", "invitations": ["hex"]},
               {**FOUNDED, "genesis_sha256": 32, "invitations_sha256": 32}))),
    "join room": ({"owner": OWNER, "package": PACKAGE_KEYS, "invitation": "hex", "now": "int"},
                  {"me": ID, **PLACE}),
    "make commit": ({
        **EPOCH, "owner": OWNER, "me": ID, "room_seed": PRIVATE, "noted": PROOFS,
        "proofs": ["hex"], "parent_time": "int", "trail": TRAIL,
        "operations": OPERATIONS, "guests": [GUEST], "directory": [ROW], "now": "time",
        "random": "hex",
    }, {
        "commit": "hex", "confirmation": 32, "signature": 64, "sealed_commit": "hex",
        "slots": [(ID, Maybe(48))], "invitations": ["hex"], **PLACE,
    }),
    "apply commit": ({**EPOCH, "me": ID, "leaf": PRIVATE, "copy": "hex", "now": "int"},
                     Either(({"removed": "bool"}, {"removed": "bool", **PLACE}))),
    "begin turn": ({**EPOCH, "owner": OWNER, "me": ID, "peer_leaf_key": KEY, "random": "hex"},
                   {"turn": "values", "commit": "hex", "leaf": PRIVATE, **PLACE}),
    "accept turn": ({**EPOCH, "me": ID, "leaf": PRIVATE, "sender": ID, "turn": "values",
                     "prefix": 8}, {**PLACE, "members": [ID]}),
}  # fmt: skip

MESSAGES: dict[str, tuple[Any, Any]] = {
    "seal message": ({"header": "values", "context": HASH, "message_key": KEY, "content": "hex",
                      "fresh": 16, "room_seed": Maybe(PRIVATE)},
                     {"message": "hex", "id": 16, "key": KEY}),
    "open message": ({"message": "hex", "context": HASH, "message_key": KEY, "mode": "int",
                      "room_sign_key": KEY}, {"content": "hex"}),
    "message id": ({"header": "hex", "body": "hex"}, {"id": 16}),
    "ciphertext size": ({"header": "int", "authenticator": "int", "content": "int"},
                        {"size": "int"}),
    "envelope size": ({"least": "int"}, {"size": "int", "capacity": "int"}),
    "pad": ({"data": "hex", "size": "int"}, {"padded": "hex"}),
    "unpad": ({"padded": "hex"}, {"data": "hex"}),
    "mailbox": (MAILBOX_KEYS, MAILBOX),
    "seal envelope": ({"mailbox": MAILBOX, "payload": "hex", "times": "int",
                       "ephemeral": PRIVATE},
                      {"size": "int", "sha256": 32, "envelope": Maybe("hex")}),
    "open envelope": ({"keys": MAILBOX_KEYS, "envelope": "hex"}, {"payload": "hex"}),
    "check mailbox proof": ({"address": ID, "read_key": KEY, "challenge": 32, "proof": 64},
                            NOTHING),
    "dispatch": ({"payload": "hex", "contact": "bool"}, {"type": "int"}),
    "stricter": ({"message": EVAPORATION, "room": EVAPORATION},
                 {"after_view": Maybe("int"), "lifetime": "int"}),
    "deadline": ({"sent": "int", "received": "int", "after_view": Maybe("int"), "lifetime": "int",
                  "viewed": Maybe("int")}, {"deadline": "int"}),
    "check policy": ({"policy": POLICY}, NOTHING),
    "read content": ({"content": "hex"}, {
        "type": Word(("text", "data", "announcement", "leave", "viewed", "burn")),
        "fields": "values"}),
}  # fmt: skip


MAY_FAIL = Maybe("reason")
RELAY_STEPS = Either((
    {"do": Word(("make",)), "now": "int", "address": ID, "capability_hash": HASH},
    {"do": Word(("remove", "fetch", "count")), "now": "int", "address": ID},
    {"do": Word(("put",)), "now": "int", "items": [(ID, 16, 16, "hex")]},
    {"do": Word(("recall",)), "now": "int", "items": [(ID, 16, 16)]},
    {"do": Word(("fill",)), "now": "int", "address": ID, "capability": 16, "count": "int"},
    {"do": Word(("ack",)), "now": "int", "address": ID, "ids": [16]},
    {"do": Word(("publish",)), "now": "int", "fingerprint": HASH, "packages": ["hex"],
     "last_resort": Maybe("hex")},
    {"do": Word(("claim",)), "now": "int", "fingerprint": HASH, "times": "int"},
    {"do": Word(("put blob",)), "now": "int", "content": "hex", "token_hash": HASH},
    {"do": Word(("fetch blob",)), "now": "int", "hash": HASH},
    {"do": Word(("delete blob",)), "now": "int", "hash": HASH, "token": 16},
))  # fmt: skip
RELAY_RESULTS = Either((
    NOTHING, {"reason": "reason"}, {"outcomes": [MAY_FAIL]}, {"waiting": [(16, "hex")]},
    {"count": "int"}, {"packages": ["hex"]}, {"content": "hex"},
))  # fmt: skip
RELAYS: dict[str, tuple[Any, Any]] = {
    "read frame": ({"from": Word(("client", "relay")), "data": "hex"},
                   {"form": "text", "fields": "values"}),
    "name blob": ({"content": "hex", "token": 16}, {"hash": HASH, "token_hash": HASH}),
    "check publish": ({"fingerprint": HASH, "packages": ["hex"], "last_resort": Maybe("hex"),
                       "now": "int"}, NOTHING),
    "credit": ({"events": [Either(((Word(("credit",)), "int", "int"),
                                   (Word(("envelope",)), "int", "int")))]}, {"sent": ["int"]}),
    "check statement": ({"data": "hex", "address": ID}, {
        "key": KEY, "request": "int", "jurisdiction": "text", "category": "text",
        "disclosed": "int", "told": "int", "gag_order": "bool", "handed_over": ["text"],
        "envelopes": "int", "entry": "int", "head": HASH,
    }),
    "relay": ({"retention": "int", "steps": [RELAY_STEPS]}, {"results": [RELAY_RESULTS]}),
}  # fmt: skip


def step(do: str, **needs: Any) -> dict[str, Any]:
    return {"do": Word((do,)), **needs}


def event(name: str, out: Any) -> dict[str, Any]:
    return {"outcome": Word(("event",)), "event": Word((name,)), "out": out}


HEARD = {"sender": ID, "number": "int", "index": "int", "id": 16, "content": "hex",
         "missing": "int", "lost": "bool", "evicted": [(ID, "int")]}  # fmt: skip
STEPS = Either((
    step("found", policy=POLICY, guests=[GUEST], name="text", mailbox=MAILBOX, now="int",
         random="hex"),
    step("join", package=PACKAGE_KEYS, invitation="hex", now="int"),
    step("send", content="hex", now="int", random="hex"),
    step("receive", data="hex", now="int"),
    step("commit", operations=OPERATIONS, guests=[GUEST], directory=[ROW], now="int",
         random="hex"),
    step("export", label="hex", size="int"),
    step("look", now="int"),
    step("restart"),
))  # fmt: skip
RESULTS = Either((
    {"outcome": Word(("delivered",)),
     "out": {**HEARD, "after_view": Maybe("int"), "lifetime": "int"}},
    {"outcome": Word(("held", "rejected")), "reason": "reason"},
    event("founded", {"room": ID, "me": ID, **PLACE, "invitations": ["hex"]}),
    event("joined", {"room": ID, "me": ID, **PLACE}),
    event("sent", {"message": "hex", "id": 16, "number": "int", "transcript": HASH,
                   "index": "int"}),
    event("committed", Either((
        {"commit": "hex", "slots": [(ID, Maybe(48))], "invitations": ["hex"], **PLACE},
        {"committer": ID, **PLACE}))),
    event("moved", {"room": ID, "me": ID, **PLACE}),
    event("lost", {"committer": ID, "number": "int", "transcript": HASH, "context": Maybe(HASH)}),
    event("equivocated", {"committer": ID}),
    event("exported", {"secret": "hex"}),
    event("announced", HEARD), event("leave", HEARD), event("viewed", HEARD), event("burn", HEARD),
    event("removed", NOTHING), event("looked", NOTHING), event("restarted", NOTHING),
))  # fmt: skip

FORMS = {
    **PRIMITIVES, **ENCODING, **IDENTITIES, **CHAINS, **MEMBERS, **EPOCHS, **ROOMS, **MESSAGES,
    **RELAYS,
    "session": ({"owner": OWNER, "steps": [STEPS]}, [RESULTS]),
}  # fmt: skip
