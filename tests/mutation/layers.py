"""Which tests decide about the mutants of which module.

The whole suite takes minutes for each mutant. These selections take a second or two: the tests that
say what the module does, and the vectors that reach it. The first file of each is run by itself
before the others are looked at: most mutants live no longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Layer:
    """A module, the test files that judge it, and the files of vectors."""

    tests: tuple[str, ...]
    vectors: tuple[str, ...] = ()


_ROOM_TESTS: Final = (
    "tests/room/test_membership_rules.py",
    "tests/room/test_messages.py",
    "tests/room/test_commits.py",
    "tests/room/test_resync_rules.py",
)

LAYERS: Final = {
    "wire": Layer(
        ("tests/wire/test_wire_exact.py", "tests/wire/test_forms.py", "tests/wire/test_wire.py"),
        ("decode.json", "kdf.json"),
    ),
    "primitives": Layer(
        (
            "tests/primitives/test_primitives_exact.py",
            "tests/primitives/test_kdf_and_hash.py",
            "tests/primitives/test_x25519.py",
            "tests/primitives/test_aead.py",
            "tests/primitives/test_ed25519.py",
        ),
        ("aead.json", "dh.json", "ed25519.json", "hash.json", "kdf.json"),
    ),
    "chain": Layer(
        ("tests/chain/test_chain_exact.py", "tests/chain/test_chain.py"), ("chain.json",)
    ),
    "epoch": Layer(("tests/room/test_epoch_exact.py",), ("epoch.json",)),
    "membership": Layer(
        ("tests/room/test_membership_exact.py", *_ROOM_TESTS),
        ("membership.json", "epoch.json"),
    ),
    "message": Layer(
        ("tests/room/test_message_exact.py", "tests/room/test_messages.py"), ("message.json",)
    ),
    "room": Layer(
        (
            "tests/room/test_room_exact.py",
            *_ROOM_TESTS,
            "tests/room/test_kept_keys.py",
            "tests/room/test_room_formats.py",
        ),
        ("room.json",),
    ),
}
