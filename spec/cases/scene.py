"""The room of room.json: ann, its owner, founds it with bob, a member, and cid, an admin."""

from typing import Any

from spec.cases.common import NOW, Stream, some_keys, some_package

from spec import reference as ref

ANN, EVE = some_keys("room-ann"), some_keys("room-eve")
BOX = ref.MailboxKeys(b"\x07" * 32, b"\x08" * 32, b"\x09" * 16)
BOB, BOB_KEYS = some_package("room-bob")
CID, CID_KEYS = some_package("room-cid")
DAN, DAN_KEYS = some_package("room-dan")
POLICY: list[Any] = [1, False, None, 259_200]
GUESTS = [ref.Guest(BOB_KEYS.package, 0, ref.MEMBER), ref.Guest(CID_KEYS.package, 0, ref.ADMIN)]
FOUNDED = ref.found_room(ANN, POLICY, GUESTS, "Ann", BOX.public, NOW, Stream("room-founding"))
QUIET = ref.found_room(ANN, [0, False, None, 259_200], GUESTS[:1], "Ann", BOX.public, NOW,
                       Stream("room-direct"))  # fmt: skip
ROOM, EPOCH = FOUNDED.epoch.room, FOUNDED.epoch
ME, BOB_ID, CID_ID = ref.ids_of(EPOCH.roster)
ADDING = ref.make_commit(  # ann admits dan to epoch 1
    EPOCH, ANN, ME, FOUNDED.room_seed, [], [ref.Guest(DAN_KEYS.package, 0, ref.MEMBER)], [], [],
    {}, NOW, Stream("room-commit-add"), [(EPOCH.prefix, None)],
)  # fmt: skip

ALSO = {  # what a case of room.json is about besides the algorithm, by a word of its name
    "proof": "MEM-06", "sanction": "MEM-14", "remove": "MEM-14", "demote": "MEM-14",
    "leave": "MEM-06", "entry": "MEM-01 MEM-02", "credential": "MEM-02",
    "ahead": "LIMIT-13", "signed": "EPOCH-13", "signature": "EPOCH-13", "lowers": "MEM-08",
    "expired": "ID-05", "expiry": "ID-05", "directory": "ENV-12", "suite": "INV-01 PRIM-19",
    "roster": "MEM-04", "twice": "MEM-11", "state": "EPOCH-06", "small": "PRIM-05 FORM-04",
    "object": "FORM-02", "type": "FORM-02 FORM-03", "trailing": "FORM-02", "array": "WIRE-17",
    "deepest": "LIMIT-01 WIRE-17",
}  # fmt: skip


def tags(general: str, name: str) -> str:
    """The requirements of a case, each once."""
    words = name.split("-")
    named = " ".join([general, *(also for word, also in ALSO.items() if word in words)])
    return " ".join(dict.fromkeys(named.split()))
