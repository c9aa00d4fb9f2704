"""The inputs: what a stranger, a member, or several who collude can send at the greatest cost."""

from __future__ import annotations

from typing import Final

from benchmarks.hostile_counts import Case
from benchmarks.hostile_devices import late_first, normal_held, one_more, retried, small_items
from benchmarks.hostile_joining import genesis, largest_invitation, normal_invitation
from benchmarks.hostile_rooms import (
    LARGEST,
    adds,
    answer,
    jump,
    normal_message,
    not_entitled,
    proofs_of_leaving,
    refresh,
    resyncs,
    sanctions,
    sibling,
    two_jumps,
)

__all__ = ["CASES", "NORMAL"]

NORMAL: Final = {
    "message": Case("message", "", "message", normal_message, "accepted"),
    "long message": Case("long message", "", "", lambda n: normal_message(n, LARGEST), "accepted"),
    "refresh": Case("refresh", "", "refresh", lambda n: refresh(3), "accepted"),
    "large refresh": Case("large refresh", "", "", refresh, "accepted"),
    "invitation": Case("invitation", "", "", normal_invitation, "accepted"),
    "held": Case("held", "", "", normal_held, "accepted"),
}
"""What hostile inputs are compared to, by kind."""

CASES: Final = (
    Case("jump, signature of another", "saw a header", "message",
         lambda n: jump(n, damaged="signature"), "bad-signature"),
    Case("jump, bad ciphertext", "member", "message",
         lambda n: jump(n, damaged="ciphertext"), "bad-ciphertext"),
    Case("jump, bad ciphertext, 64 KiB", "member", "long message",
         lambda n: jump(n, damaged="ciphertext", length=LARGEST), "bad-ciphertext"),
    Case("two jumps, 64 KiB", "member", "long message", two_jumps, "accepted"),
    Case("turn, jump, bad commitment", "member", "long message", answer, "bad-commitment"),
    Case("refresh, bad confirmation", "member", "large refresh",
         lambda n: refresh(n, good=False), "bad-confirmation"),
    Case("adds, bad confirmation", "member", "large refresh", adds, "bad-confirmation"),
    Case("adds, no right to them", "member", "refresh", not_entitled, "not-entitled"),
    Case("resyncs, bad confirmation", "all members", "large refresh", resyncs,
         "bad-confirmation"),
    Case("16 proofs, bad confirmation", "18 members", "refresh", proofs_of_leaving,
         "bad-confirmation"),
    Case("sanctions, bad confirmation", "member", "large refresh", sanctions, "bad-confirmation"),
    Case("better sibling", "member", "large refresh", sibling, "accepted"),
    Case("genesis, bad confirmation", "has a card", "invitation", genesis, "bad-confirmation"),
    Case("roster and commit", "has a card", "invitation", largest_invitation,
         "bad-confirmation"),
    Case("2 MiB of small items", "has a card", "held", small_items, "accepted"),
    Case("one more held", "knows the mailbox", "held", one_more, "accepted"),
    Case("all held tried again", "knows the mailbox", "held", retried, "accepted"),
    Case("commits in reverse", "member", "held", late_first, "accepted"),
)  # fmt: skip
