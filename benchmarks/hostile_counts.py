"""Counting what an input costs, and what the limits of the protocol let it cost (spec 15)."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from evanesce import primitives, wire
from evanesce.errors import EvanesceError

__all__ = ["MOST", "OPERATIONS", "Case", "Cost", "Counts", "Reads", "bound", "counting", "run"]

OPERATIONS: Final = {
    "verify": "signatures verified",
    "dh": "Diffie-Hellman operations",
    "point": "points of Ed25519 checked",
    "kdf": "calls of KDF",
    "hash": "calls of H",
    "hashed": "bytes that KDF and H take",
    "signed": "bytes that verified signatures cover",
    "opened": "bytes decrypted",
    "decoded": "bytes scanned for canonical form",
    "items": "items among them",
    "records": "records read from the store",
    "read": "bytes of these",
}
MOST: Final = 1_000  # members and operations (REQ-LIMIT-10, 11), steps of a chain (REQ-LIMIT-16)

Counts = Counter[str]


# --- counting ------------------------------------------------------------------------------------


class _Proxy:
    """A module, of which some functions are counted."""

    def __init__(self, module: Any, counted: Mapping[str, Callable[..., Any]]) -> None:
        self._module = module
        self._counted = counted

    def __getattr__(self, name: str) -> Any:
        return self._counted.get(name) or getattr(self._module, name)


@contextmanager
def counting() -> Iterator[Counts]:
    """Count the primitive operations of what runs inside."""
    counts: Counts = Counter()
    sodium, blake2b, scan = vars(primitives)["sodium"], hashlib.blake2b, wire._scan

    def each(operation: str, call: Callable[..., Any], of: str = "", at: int = 0) -> Any:
        def counted(*args: Any) -> Any:
            counts[operation] += 1
            if of:
                counts[of] += len(args[at])
            return call(*args)

        return counted

    def hashed(data: bytes, **named: Any) -> Any:
        counts["kdf" if named.get("key") else "hash"] += 1
        counts["hashed"] += len(data)
        return blake2b(data, **named)

    def scanned(data: bytes) -> None:
        counts["decoded"] += len(data)
        scan(data)
        counts["items"] += _items(msgpack.unpackb(data, raw=True, strict_map_key=False))

    opened = "crypto_aead_chacha20poly1305_ietf_decrypt"
    proxied: dict[str, Any] = {
        "crypto_sign_open": each("verify", sodium.crypto_sign_open, "signed"),
        "crypto_scalarmult": each("dh", sodium.crypto_scalarmult),
        "crypto_scalarmult_base": each("dh", sodium.crypto_scalarmult_base),
        "crypto_core_ed25519_is_valid_point": each(
            "point", sodium.crypto_core_ed25519_is_valid_point
        ),
        opened: each("aead", getattr(sodium, opened), "opened"),
    }
    setattr(primitives, "sodium", _Proxy(sodium, proxied))  # noqa: B010  mypy knows it as a module
    setattr(primitives, "hashlib", _Proxy(hashlib, {"blake2b": hashed}))  # noqa: B010
    setattr(wire, "_scan", scanned)  # noqa: B010
    try:
        yield counts
    finally:
        setattr(primitives, "sodium", sodium)  # noqa: B010
        setattr(primitives, "hashlib", hashlib)  # noqa: B010
        setattr(wire, "_scan", scan)  # noqa: B010


def _items(value: Any) -> int:
    """How many items a value has, itself among them."""
    found, stack = 1, [value]
    while stack:
        inner = stack.pop()
        if isinstance(inner, list):
            found += len(inner)
            stack += [item for item in inner if isinstance(item, list)]
    return found


class Reads:
    """A transaction that counts what is read through it."""

    def __init__(self, inner: Any, counts: Counts) -> None:
        self._inner = inner
        self._counts = counts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get(self, name: bytes) -> bytes | None:
        """Count one record."""
        data: bytes | None = self._inner.get(name)
        self._note(data)
        return data

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Count each record."""
        for name, data in self._inner.scan(prefix):
            self._note(data)
            yield name, data

    def _note(self, data: bytes | None) -> None:
        if data is not None:
            self._counts["records"] += 1
            self._counts["read"] += len(data)


# --- bounds --------------------------------------------------------------------------------------


def bound(
    *, chains: int = 0, members: int = 0, packages: int = 0, requests: int = 0, proofs: int = 0,
    directory: int = 0, size: int = 0, fixed: int = 16, waiting: int = 0, held: int = 0,
) -> dict[str, int]:  # fmt: skip
    """What one input of these dimensions may cost (spec 15).

    `chains`: chains that it moves, each by at most 1,000 steps. `members`: of the roster that it
    leads to. `packages`: key packages in it, those of resync requests and of an invitation's roster
    included. `requests`: for a resync. `proofs`: requests to leave. `directory`: mailboxes in it.
    `size`: its bytes. `fixed`: what any input may take of each. `waiting`, `held`: records that
    wait, and their bytes.
    """
    return {
        "verify": packages + requests + proofs + fixed,
        "dh": 8 * packages + members + directory + fixed,
        "point": 2 * packages + members + fixed,
        "kdf": (MOST + 1) * chains + 3 * members + fixed,
        "hash": 4 * packages + waiting + fixed,
        # A step of a chain and a key of a member hash little. A commit is hashed a few times, and
        # the roster it leads to, of up to 1,300 bytes a member, twice.
        "hashed": 64 * (MOST + 1) * chains + 2_816 * members + 12 * size + held + 4_096,
        "signed": 4 * size + 1_024 * packages + 4_096,
        "opened": 3 * size + 4_096,
        "decoded": 10 * size + 4_096 + held,
        "items": 8 * size + 4_096 + held,
        "records": waiting,
        "read": held,
    }


@dataclass(frozen=True)
class Case:
    """One hostile input: `make` prepares it, and returns what has it taken."""

    name: str
    who: str  # who can send it
    kind: str  # of the normal input that it is compared to
    make: Callable[[int], tuple[Callable[[Counts], Any], dict[str, int], int]]
    ends: str  # the reason it is refused with, or "accepted"


@dataclass
class Cost:
    """What a case has cost."""

    name: str
    ends: str
    counts: Counts
    bound: dict[str, int]
    size: int
    seconds: float


def run(case: Case, size: int) -> Cost:
    """Build an input, and have it taken."""
    take, allowed, length = case.make(size)
    with counting() as counts:
        begun = time.process_time()
        ends = "accepted"
        try:
            ends = take(counts) or ends
        except EvanesceError as error:
            ends = str(error.reason)
        seconds = time.process_time() - begun
    return Cost(case.name, ends, counts, allowed, length, seconds)
