"""Every object of the protocol as one table of forms (spec 05).

Each is ``[version, type, …]``. An object that is signed or hashed by itself travels as `bin` inside
the next one, so that signatures and hashes always cover the received bytes.
"""

from __future__ import annotations

from typing import Final

from .limits import (
    MAX_BODY,
    MAX_CIPHERTEXT,
    MAX_COMMIT,
    MAX_CONTENT,
    MAX_ENVELOPE,
    MAX_EPOCHS,
    MAX_INDEX,
    MAX_INVITATION,
    MAX_MEMBERS,
    MAX_NAME,
    MAX_NAMED,
    MAX_PROOFS,
    MAX_SPARED,
    ONE_TIME_PREKEYS,
)
from .wire import Form, array, binary, boolean, maybe, record, text, uint

# Field types that recur. Sizes in bytes.
ID: Final = binary(32)  # room, member, address, hash
PUBLIC_KEY: Final = binary(32)
SIGNATURE: Final = binary(64)
PREFIX: Final = binary(8)  # the first bytes of a transcript hash
SALT: Final = binary(16)
SLOT: Final = binary(48)  # 32 sealed bytes and a tag
MESSAGE_ID: Final = binary(16)
TIME: Final = uint(2**40 - 1)  # seconds since 1970-01-01 UTC
COUNT: Final = uint(MAX_INDEX)
EPOCH: Final = uint(2**32 - 1)
ROLE: Final = uint(2)
SECONDS: Final = uint(2**32 - 1)
MAILBOX: Final = record(ID, PUBLIC_KEY, SALT)  # address, envelope key, write capability
POLICY: Final = record(uint(2), boolean, maybe(SECONDS), SECONDS)
LAST_SPOKEN: Final = record(PREFIX, COUNT)
ORDER: Final = record(uint(3), COUNT, TIME, ROLE, COUNT)  # of a commit among its siblings
OPERATION_LIMIT: Final = 1_000

_SIGNED_LIMIT: Final = 1_024
_BODY_LIMIT: Final = 896  # of a signed object: what its heads and signature leave, rounded down
_SMALL: Final = binary(1, _SIGNED_LIMIT)  # an embedded signed object

# Operations of a commit. The first item says which.
ADD, SANCTIONED, SET_ROLE, SET_POLICY, RESYNC = 0, 1, 2, 3, 4
_OPERATIONS: Final = {
    ADD: record(uint(), _SMALL, ROLE),
    SANCTIONED: record(uint(), _SMALL),
    SET_ROLE: record(uint(), ID, ROLE),
    SET_POLICY: record(uint(), POLICY),
    RESYNC: record(uint(), _SMALL),
}


def _operation(value: object) -> object:
    """An operation: ``[0, key package, role] | [1, sanction] | [2, member, role] | …``."""
    kind = value[0] if isinstance(value, list | tuple) and value else None
    if type(kind) is not int:
        kind = -1
    return _OPERATIONS.get(kind, record(uint(4)))(value)


SIGNED: Final = Form("signed object", 1, _SIGNED_LIMIT, (binary(1, _BODY_LIMIT), SIGNATURE))
MEMBER_ENTRY: Final = Form(
    "member entry",
    2,
    _BODY_LIMIT,
    # room, member, identity DH key, leaf key, room signature key, version
    (ID, ID, PUBLIC_KEY, PUBLIC_KEY, PUBLIC_KEY, COUNT),
)
KEY_PACKAGE: Final = Form(
    "key package",
    3,
    _BODY_LIMIT,
    (
        uint(255),  # suite
        PUBLIC_KEY,  # identity signature key
        PUBLIC_KEY,  # identity DH key
        PUBLIC_KEY,  # signed prekey
        array(PUBLIC_KEY, ONE_TIME_PREKEYS),  # one-time prekeys; none in a last-resort package
        PUBLIC_KEY,  # leaf key
        PUBLIC_KEY,  # room signature key
        MAILBOX,  # contact mailbox
        TIME,  # expiry
        boolean,  # last resort
    ),
)
CARD: Final = Form("card", 4, 2_048, (text(MAX_NAME), _SMALL))  # name, signed key package
INVITATION: Final = Form(
    "invitation",
    5,
    MAX_INVITATION,
    (
        uint(255),  # suite
        PUBLIC_KEY,  # inviter's identity signature key
        PUBLIC_KEY,  # inviter's identity DH key
        ID,  # hash of the signed key package
        maybe(uint(ONE_TIME_PREKEYS - 1)),  # which one-time prekey; nil for a last-resort package
        PUBLIC_KEY,  # ephemeral key
        binary(16, MAX_INVITATION),  # sealed welcome
    ),
)
WELCOME: Final = Form(
    "welcome",
    6,
    MAX_INVITATION,
    (
        binary(1, MAX_COMMIT),  # the genesis or commit that admits
        binary(32),  # confirmation
        maybe(SIGNATURE),  # over both; nil in a direct room
        maybe(_SMALL),  # the committer's credential at the parent; nil with a genesis
        binary(1, MAX_INVITATION),  # the resulting roster
        POLICY,
        binary(32),  # epoch secret
        array(record(ID, text(MAX_NAME), maybe(MAILBOX)), MAX_MEMBERS),  # directory
        array(record(PREFIX, maybe(ORDER)), MAX_EPOCHS),  # trail
    ),
)
ROSTER: Final = Form(
    "roster",
    7,
    MAX_INVITATION,
    (
        COUNT,  # the next seniority
        array(
            # member, role, seniority, identity keys (signature, DH), admission, sponsor's
            # seniority, epoch of its role, credential, time of the request by which it was last
            # let in anew
            record(ID, ROLE, COUNT, PUBLIC_KEY, PUBLIC_KEY, ID, COUNT, COUNT, _SMALL, maybe(TIME)),
            MAX_MEMBERS,
            least=1,
        ),
    ),
)
GENESIS: Final = Form(
    "genesis",
    8,
    MAX_COMMIT,
    (
        uint(255),  # suite
        ID,  # room
        TIME,
        POLICY,
        PUBLIC_KEY,  # creator's identity signature key
        PUBLIC_KEY,  # creator's identity DH key
        _SMALL,  # creator's signed member entry
        array(record(_SMALL, ROLE), MAX_MEMBERS - 1),  # signed key package, role
        ID,  # state hash
    ),
)
COMMIT: Final = Form(
    "commit",
    9,
    MAX_COMMIT,
    (
        ID,  # room
        EPOCH,  # the parent's number
        ID,  # the parent's transcript hash
        ID,  # committer
        TIME,
        # kind, then: key package, role | sanction | member, role | policy | request
        array(_operation, OPERATION_LIMIT),
        array(record(uint(1), _SMALL), MAX_PROOFS),  # kind, signed leave request or sanction
        _SMALL,  # the committer's new signed member entry
        PUBLIC_KEY,  # ephemeral key
        ID,  # state hash
    ),
)
SIGNED_COMMIT: Final = Form(
    "signed commit", 10, MAX_COMMIT + 128, (binary(1, MAX_COMMIT), binary(32), SIGNATURE)
)  # commit, confirmation, signature
SEALED_COMMIT: Final = Form(
    "sealed commit",
    11,
    MAX_COMMIT + 256,
    (ID, PREFIX, ID, SALT, binary(16, MAX_COMMIT + 144)),  # room, prefix, committer, salt, sealed
)
COMMIT_COPY: Final = Form(
    "commit copy", 12, MAX_COMMIT + 512, (binary(1, MAX_COMMIT + 256), maybe(SLOT))
)
DIRECT_COMMIT: Final = Form(
    "direct commit",
    13,
    2_048,
    # room, parent's number, parent's transcript, committer, leaf key, ephemeral key, signed entry
    (ID, EPOCH, ID, ID, PUBLIC_KEY, PUBLIC_KEY, maybe(_SMALL)),
)
LEAVE_REQUEST: Final = Form("leave request", 14, 256, (ID, ID, ID))  # room, member, admission
SANCTION: Final = Form(
    "sanction",
    21,
    _BODY_LIMIT,
    (ID, ID, ID, ID, maybe(ROLE), EPOCH, maybe(array(PREFIX, MAX_SPARED))),
)  # room, member, admission, author, role, epoch, spared
HEADER: Final = Form(
    "header",
    15,
    2_048,
    (
        ID,  # room
        PREFIX,  # of the transcript hash
        ID,  # sender
        COUNT,  # index
        SALT,
        maybe(LAST_SPOKEN),
        uint(1),  # flags: bit 0, the sender has strayed
        # direct rooms: leaf key, ephemeral key, slot, signed member entry
        maybe(record(PUBLIC_KEY, PUBLIC_KEY, SLOT, maybe(_SMALL))),
    ),
)
MESSAGE: Final = Form(
    "message",
    16,
    MAX_CIPHERTEXT + 4_096,
    (binary(1, 2_048), binary(17, MAX_CIPHERTEXT), binary(32, 64)),  # header, body, authenticator
)
OPENING: Final = Form(
    "opening",
    17,
    MAX_CIPHERTEXT + 16_384,
    (binary(1, 8_192), binary(1, MAX_CIPHERTEXT + 4_096)),  # invitation, message
)
ENVELOPE: Final = Form("envelope", 18, MAX_ENVELOPE, (PUBLIC_KEY, binary(17, MAX_ENVELOPE)))
# room, member, prefix of the last transcript hash it knows, time
REPAIR_REQUEST: Final = Form("repair request", 19, 256, (ID, ID, PREFIX, TIME))
# room, member, time, signed key package
RESYNC_REQUEST: Final = Form("resync request", 20, _BODY_LIMIT, (ID, ID, TIME, _SMALL))

# Contents: sent at, after_view, lifetime, quoted message, then the body.
_TIMED: Final = (TIME, maybe(SECONDS), SECONDS, maybe(MESSAGE_ID))
TEXT: Final = Form("text", 32, MAX_CONTENT, (*_TIMED, text(MAX_BODY)))
DATA: Final = Form("data", 33, MAX_CONTENT, (*_TIMED, binary(0, MAX_BODY)))
ANNOUNCEMENT: Final = Form("announcement", 34, MAX_CONTENT, (text(MAX_NAME), MAILBOX))
LEAVE: Final = Form("leave", 35, MAX_CONTENT, (_SMALL,))  # signed leave request
_MESSAGES: Final = array(MESSAGE_ID, MAX_NAMED, least=1)
VIEWED: Final = Form("viewed", 36, MAX_CONTENT, (_MESSAGES,))
BURN: Final = Form("burn", 37, MAX_CONTENT, (_MESSAGES,))
