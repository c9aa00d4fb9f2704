"""What opens an encrypted store: a passphrase, a key, or the keyring of the system.

A store's records are encrypted under a random master key. What these classes give is the key that
the master key is wrapped under, so another passphrase takes no record to be written anew.
"""

from __future__ import annotations

import importlib
import unicodedata
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from nacl import exceptions
from nacl.bindings import crypto_pwhash_alg
from nacl.pwhash import argon2id

from ..errors import LocalError, Reason, StorageError
from ..primitives import KEY_BYTES, Random
from ..secret import Secret

__all__ = ["Cost", "KeyParameters", "KeySource", "KeyringKey", "Passphrase", "RawKey"]

SALT_BYTES: Final = argon2id.SALTBYTES
PASSPHRASE: Final = 1
KEY: Final = 2
_KINDS: Final = {PASSPHRASE: "a passphrase", KEY: "a key"}
# What a header may ask for, before it could be authenticated: at most what SENSITIVE costs.
_OPERATIONS: Final = range(1, argon2id.OPSLIMIT_SENSITIVE + 1)
_MEMORY: Final = range(8 * 1024 * 1024, argon2id.MEMLIMIT_SENSITIVE + 1)


@dataclass(frozen=True, slots=True)
class KeyParameters:
    """What the header of a store says about its key: the kind, a salt, the cost of Argon2id."""

    kind: int
    salt: bytes
    operations: int = 0
    memory: int = 0

    def check(self) -> None:
        """Refuse what a forged or damaged header might ask for: `StorageError` (bad-store)."""
        if self.kind == PASSPHRASE:
            fine = self.operations in _OPERATIONS and self.memory in _MEMORY
        else:
            fine = self.kind == KEY and self.operations == self.memory == 0
        if not fine or len(self.salt) != SALT_BYTES:
            raise StorageError(Reason.BAD_STORE, "the header asks for an impossible key")

    def require(self, kind: int) -> None:
        """Refuse a key of another kind: `LocalError` (wrong-key)."""
        if self.kind != kind:
            raise LocalError(Reason.WRONG_KEY, f"this store is opened by {_KINDS[self.kind]}")


class KeySource(Protocol):
    """Something that opens a store."""

    def choose(self, random: Random) -> KeyParameters:
        """The parameters for a header that is made now."""

    def unlock(self, parameters: KeyParameters) -> Secret:
        """The key (32 bytes) for a header. Raise `LocalError` (wrong-key) when there is none."""


class Cost(Enum):
    """What a guess at a passphrase costs, in passes over so much memory (Argon2id)."""

    INTERACTIVE = (argon2id.OPSLIMIT_INTERACTIVE, argon2id.MEMLIMIT_INTERACTIVE)  # 64 MiB
    MODERATE = (argon2id.OPSLIMIT_MODERATE, argon2id.MEMLIMIT_MODERATE)  # 256 MiB
    SENSITIVE = (argon2id.OPSLIMIT_SENSITIVE, argon2id.MEMLIMIT_SENSITIVE)  # 1 GiB


class Passphrase:
    """A passphrase, stretched with Argon2id. `cost` counts when the store is made or rekeyed."""

    def __init__(self, passphrase: str, cost: Cost = Cost.MODERATE) -> None:
        if not passphrase:
            raise LocalError(Reason.BAD_INPUT, "an empty passphrase")
        # Keyboards differ in how they compose: 각 may be typed as one code point or as three.
        try:
            composed = unicodedata.normalize("NFC", passphrase).encode()
        except UnicodeEncodeError:  # whose attributes hold the passphrase
            raise LocalError(Reason.BAD_INPUT, "a passphrase that is not Unicode text") from None
        self._passphrase = Secret(composed)
        self._cost = cost

    def choose(self, random: Random) -> KeyParameters:
        """A new salt, and the cost."""
        return KeyParameters(PASSPHRASE, random(SALT_BYTES), *self._cost.value)

    def unlock(self, parameters: KeyParameters) -> Secret:
        """Stretch the passphrase. Raise `StorageError` when there is not enough memory."""
        parameters.require(PASSPHRASE)
        try:
            key = crypto_pwhash_alg(
                KEY_BYTES, self._passphrase.reveal(), parameters.salt, parameters.operations,
                parameters.memory, argon2id.ALG,
            )  # fmt: skip
        except exceptions.RuntimeError:
            mebibytes = parameters.memory >> 20
            raise StorageError(
                Reason.BAD_STORE, f"stretching the passphrase takes {mebibytes} MiB of memory"
            ) from None
        return Secret(key)

    def __repr__(self) -> str:
        return f"Passphrase(…, {self._cost})"


class RawKey:
    """A key of 32 random bytes, kept by the application or the platform."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise LocalError(Reason.BAD_INPUT, f"key of {len(key)} bytes, {KEY_BYTES} needed")
        self._key = Secret(bytes(key))

    def choose(self, random: Random) -> KeyParameters:
        """A new salt."""
        return KeyParameters(KEY, random(SALT_BYTES))

    def unlock(self, parameters: KeyParameters) -> Secret:
        """The key itself."""
        parameters.require(KEY)
        return self._key

    def __repr__(self) -> str:
        return "RawKey(…)"


class KeyringKey:
    """A key in the keyring of the system; made there if it does not exist, for a new store.

    It needs the package `keyring` (``pip install 'evanesce[keyring]'``) and a keyring service,
    which a machine without a desktop session seldom has: `LocalError` (bad-input) otherwise.
    """

    def __init__(self, service: str, name: str) -> None:
        self._entry = KeyringEntry(service, name)

    def choose(self, random: Random) -> KeyParameters:
        """A new salt; and a new key, unless the keyring has it already."""
        if self._entry.read() is None:
            self._entry.write(random(KEY_BYTES).hex())
        return KeyParameters(KEY, random(SALT_BYTES))

    def unlock(self, parameters: KeyParameters) -> Secret:
        """The key from the keyring."""
        parameters.require(KEY)
        written = self._entry.read()
        if written is None:
            raise LocalError(Reason.WRONG_KEY, "the keyring has no key for this store")
        try:
            key = bytes.fromhex(written)
        except ValueError:  # whose text may hold the key
            key = b""
        if len(key) != KEY_BYTES:
            raise LocalError(Reason.WRONG_KEY, "what the keyring has is not a key of a store")
        return Secret(key)

    def __repr__(self) -> str:
        return f"KeyringKey({self._entry.service!r}, {self._entry.name!r})"


class _Keyring(Protocol):
    """The part of the package `keyring` that is used."""

    def get_password(self, service: str, name: str) -> str | None: ...

    def set_password(self, service: str, name: str, password: str) -> None: ...


class KeyringEntry:
    """A text in the keyring of the system."""

    def __init__(self, service: str, name: str) -> None:
        self.service = service
        self.name = name

    def read(self) -> str | None:
        """The text, or None. Raise `LocalError` (bad-input) when there is no keyring."""
        keyring, failures = self._keyring()
        try:
            return keyring.get_password(self.service, self.name)
        except failures as error:
            raise self._unusable(error) from None

    def write(self, text: str) -> None:
        """Keep a text, and see that it is kept: some keyrings throw away what they are given."""
        keyring, failures = self._keyring()
        try:
            keyring.set_password(self.service, self.name, text)
        except failures as error:
            raise self._unusable(error) from None
        if self.read() != text:
            raise LocalError(
                Reason.BAD_INPUT, "the system's keyring keeps nothing: use a passphrase"
            )

    @staticmethod
    def _keyring() -> tuple[_Keyring, type[Exception]]:
        try:
            keyring = importlib.import_module("keyring")
            errors = importlib.import_module("keyring.errors")
        except ImportError:
            raise LocalError(
                Reason.BAD_INPUT,
                "the package keyring is not installed (evanesce[keyring]): use a passphrase",
            ) from None
        failures: type[Exception] = errors.KeyringError
        return keyring, failures

    @staticmethod
    def _unusable(error: Exception) -> LocalError:
        return LocalError(
            Reason.BAD_INPUT,
            f"the system's keyring cannot be used ({type(error).__name__}): use a passphrase",
        )
