"""Key sources: what they take, what a header may ask of them, and the system's keyring."""

from __future__ import annotations

import re
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from evanesce import LocalError, Passphrase, RawKey, Reason, SqliteStore, StorageError
from evanesce.secret import Secret
from evanesce.store import header as header_module
from evanesce.store.anchor import KeyringAnchor
from evanesce.store.header import HEADER_BYTES, Header
from evanesce.store.keys import Cost, KeyParameters, KeyringKey
from tests.conftest import Stream
from tests.store.store_support import KEY, OTHER, bad_store, contents, fails, files, fill

CHEAP = Cost.INTERACTIVE


def test_a_passphrase_opens_a_store_and_another_does_not(tmp_path: Path) -> None:
    path = tmp_path / "mina.db"
    with SqliteStore(path, Passphrase("우리 집 비밀", CHEAP)) as store:
        fill(store, {b"a": b"1"})
    before = files(tmp_path)
    for wrong in (Passphrase("우리 집 비밀 "), Passphrase("x"), KEY):
        with fails(Reason.WRONG_KEY):
            SqliteStore(path, wrong)
    assert files(tmp_path) == before
    with SqliteStore(path, Passphrase("우리 집 비밀")) as store:  # the cost is in the header
        assert contents(store) == {b"a": b"1"}


def test_a_passphrase_is_the_same_however_it_is_composed() -> None:
    composed, apart = "비밀", "\u1107\u1175\u1106\u1175\u11af"
    assert composed != apart
    parameters = Passphrase(composed, CHEAP).choose(Stream("salt"))
    keys = [Passphrase(text, CHEAP).unlock(parameters).reveal() for text in (composed, apart)]
    assert keys[0] == keys[1]
    assert Passphrase("비믈", CHEAP).unlock(parameters).reveal() != keys[0]


def test_the_cost_is_chosen_and_kept() -> None:
    for cost, operations, memory in (
        (Cost.INTERACTIVE, 2, 64 << 20), (Cost.MODERATE, 3, 256 << 20),
        (Cost.SENSITIVE, 4, 1024 << 20),
    ):  # fmt: skip
        parameters = Passphrase("x", cost).choose(Stream("salt"))
        assert (parameters.operations, parameters.memory) == (operations, memory)
        parameters.check()
    assert Passphrase("x").choose(Stream("salt")).operations == 3


@pytest.mark.parametrize("passphrase", ["", "\ud800"])
def test_a_passphrase_that_is_none_is_refused(passphrase: str) -> None:
    with fails(Reason.BAD_INPUT):
        Passphrase(passphrase)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_raw_key_has_32_bytes(size: int) -> None:
    with fails(Reason.BAD_INPUT):
        RawKey(bytes(size))


GOOD = KeyParameters(1, bytes(16), 2, 64 << 20)


@pytest.mark.parametrize(
    "forged",
    [
        replace(GOOD, memory=(1 << 30) + 1), replace(GOOD, memory=1 << 40),
        replace(GOOD, memory=0), replace(GOOD, operations=0), replace(GOOD, operations=5),
        replace(GOOD, operations=1 << 31), replace(GOOD, salt=bytes(15)), replace(GOOD, kind=0),
        replace(GOOD, kind=3), replace(GOOD, kind=2), KeyParameters(2, b""),
    ],
)  # fmt: skip
def test_a_header_that_asks_for_too_much_is_refused_before_it_costs(forged: KeyParameters) -> None:
    header = replace(Header.make(1, KEY, Secret(bytes(32)), Stream("h")), parameters=forged)
    read = Header.load(header.dump(), 1)  # its checksum is right: anyone can make one
    tracemalloc.start()
    for source in (Passphrase("x"), KEY):
        with bad_store():
            read.open(source)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_what_a_header_says_is_bound_to_its_key() -> None:
    master = Secret(Stream("master")(32))
    header = Header.make(1, KEY, master, Stream("h"))
    assert len(header.dump()) == HEADER_BYTES
    assert Header.load(header.dump(), 1) == header
    assert header.open(KEY) == master
    with bad_store():
        replace(header, version=2).open(KEY)
    with bad_store():
        replace(header, wrapped=header.wrapped[:-1] + b"x").open(KEY)
    with fails(Reason.WRONG_KEY):
        replace(header, parameters=replace(header.parameters, salt=bytes(16))).open(KEY)
    with fails(Reason.WRONG_KEY):
        header.open(OTHER)


def test_a_header_of_a_newer_format_is_told_before_the_key_is_asked_for() -> None:
    newer = replace(Header.make(1, KEY, Secret(bytes(32)), Stream("h")), version=2)
    with pytest.raises(StorageError, match="format 2"):
        Header.load(newer.dump(), 1)
    assert Header.load(newer.dump(), 2) == newer


# --- the keyring ---------------------------------------------------------------------------------


class KeyringError(Exception):
    """As in the package keyring."""


class FakeKeyring(ModuleType):
    """Stands in for the package `keyring`, which needs a desktop session to do anything."""

    def __init__(self) -> None:
        super().__init__("keyring")
        self.kept: dict[tuple[str, str], str] = {}
        self.works, self.keeps = True, True

    def get_password(self, service: str, name: str) -> str | None:
        if not self.works:
            raise KeyringError("no backend; the secret is 1234")
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, password: str) -> None:
        if not self.works:
            raise KeyringError("no backend; the secret is 1234")
        if self.keeps:
            self.kept[service, name] = password


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> FakeKeyring:
    made = FakeKeyring()
    errors = ModuleType("keyring.errors")
    errors.KeyringError = KeyringError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", made)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return made


def test_a_key_in_the_keyring_is_made_once_and_opens(tmp_path: Path, keyring: FakeKeyring) -> None:
    source = KeyringKey("evanesce", "mina")
    with SqliteStore(tmp_path / "mina.db", source) as store:
        fill(store, {b"a": b"1"})
    (written,) = keyring.kept.values()
    assert len(bytes.fromhex(written)) == 32
    with SqliteStore(tmp_path / "mina.db", KeyringKey("evanesce", "mina")) as store:
        assert contents(store) == {b"a": b"1"}
    with SqliteStore(tmp_path / "mina.db", RawKey(bytes.fromhex(written))) as store:
        store.rekey(KEY)
    SqliteStore(tmp_path / "sora.db", source).close()
    assert keyring.kept == {("evanesce", "mina"): written}
    assert written not in repr(source)


@pytest.mark.parametrize("entry", [None, "", "zz", "00" * 31, "00" * 32])
def test_a_keyring_without_the_key_is_a_wrong_key(
    tmp_path: Path, keyring: FakeKeyring, entry: str | None
) -> None:
    source = KeyringKey("evanesce", "mina")
    SqliteStore(tmp_path / "mina.db", source).close()
    keyring.kept.clear()
    if entry is not None:
        keyring.kept["evanesce", "mina"] = entry
    before = files(tmp_path)
    with fails(Reason.WRONG_KEY):
        SqliteStore(tmp_path / "mina.db", source)
    assert files(tmp_path) == before


def test_a_keyring_that_does_not_work_is_told(tmp_path: Path, keyring: FakeKeyring) -> None:
    keyring.works = False
    with pytest.raises(LocalError, match=r"bad-input.*use a passphrase") as caught:
        SqliteStore(tmp_path / "mina.db", KeyringKey("evanesce", "mina"))
    assert "1234" not in str(caught.value)
    keyring.works, keyring.keeps = True, False
    with fails(Reason.BAD_INPUT):
        SqliteStore(tmp_path / "mina.db", KeyringKey("evanesce", "mina"))
    assert not (tmp_path / "mina.db").exists()


def test_a_missing_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with fails(Reason.BAD_INPUT):
        SqliteStore(tmp_path / "mina.db", KeyringKey("evanesce", "mina"))
    with fails(Reason.BAD_INPUT):
        SqliteStore(tmp_path / "mina.db", KEY, anchor=KeyringAnchor("evanesce", "mina"))


def test_an_anchor_in_the_keyring(keyring: FakeKeyring) -> None:
    anchor = KeyringAnchor("evanesce", "anchor")
    assert anchor.read() is None
    anchor.write(5)
    anchor.write(5)
    anchor.write(70)
    assert KeyringAnchor("evanesce", "anchor").read() == 70
    with fails(Reason.BAD_INPUT):
        anchor.write(69)
    keyring.kept["evanesce", "anchor"] = "seventy"
    with bad_store():
        anchor.read()


def test_the_labels_of_the_store_stand_for_nothing_else() -> None:
    folder = Path(header_module.__file__).parent
    own = set(re.findall(r'KDF\([^"]*b"([^"]+)"', "".join(
        (folder / name).read_text("utf-8") for name in ("header.py", "sealing.py")
    )))  # fmt: skip
    spec = Path(__file__).parents[2] / "spec" / "02-constants.md"
    assert own == {f"store {what}" for what in ("header", "names", "values", "marks", "state")}
    assert not own & set(re.findall(r'^\| `"([^"]+)"`', spec.read_text("utf-8"), re.MULTILINE))
