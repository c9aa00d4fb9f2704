"""Operations of chapter 7: the handshake of an invitation."""

from __future__ import annotations

from ... import invitation
from ...keypackage import KeyPackage
from .registry import Json, operation
from .values import Tape, identity_keys, package_keys, un


@operation("seal invitation")
def _seal_invitation(i: Json) -> Json:
    sealed = invitation.seal_invitation(
        identity_keys(i["inviter"]),
        KeyPackage.parse(un(i["package"])),
        i["index"],
        un(i["welcome"]),
        Tape(un(i["ephemeral"])),
    )
    return {"invitation": sealed.hex()}


@operation("open invitation")
def _open_invitation(i: Json) -> Json:
    parsed = invitation.Invitation.parse(un(i["invitation"]))
    keys = package_keys(i["package"])
    return {"welcome": invitation.open_invitation(identity_keys(i["owner"]), keys, parsed).hex()}
