"""The ledger of disclosures: whatever is changed in it is noticed, whatever was written stays."""

import os
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evanesce.errors import LocalError, Reason
from evanesce.relay.disclosure.entries import FIRST, KINDS, LedgerTampered, check_body
from evanesce.relay.disclosure.ledger import Ledger, begin_anchor, head_of, parse_ledger
from evanesce.relay.disclosure.requests import Requests
from evanesce.relay.disclosure.signed_json import canonical, parse_canonical

SEED = bytes(range(32))
HOUR = 480_000


def received(number: int, accounts: int = 2) -> dict[str, Any]:
    return {"request": number, "jurisdiction": "KR", "category": "search_seizure",
            "accounts": accounts, "received": "2026-01-31", "reference": None}  # fmt: skip


def disclosed(number: int, *, with_data: bool = True, again: int | None = None) -> dict[str, Any]:
    return {"request": number, "subject": "ab" * 32, "document": "cd" * 32,
            "with_data": with_data, "with_envelopes": False, "again": again}  # fmt: skip


def begun(folder: Path, keys: Path) -> Ledger:
    """A ledger as it is when the disclosure key is made."""
    begin_anchor(keys)
    return Ledger(folder, keys, SEED)


def filled(folder: Path) -> Ledger:
    ledger = begun(folder / "ledger", folder / "keys")
    with ledger.writing(HOUR) as writer:
        writer.add("received", received(1))
        writer.add("received", received(2))
        writer.add("rejected", {"request": 2, "ground": "overbroad"})
        writer.add("gag_imposed", {"request": 1, "until": HOUR + 100})
        entry = writer.add("disclosed", disclosed(1))
    with ledger.writing(HOUR + 200) as writer:
        writer.add("notified", {"request": 1, "entry": entry.sequence, "delayed_hours": 200})
    return ledger


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ledger, bytes]:
    ledger = filled(tmp_path_factory.mktemp("whole"))
    return ledger, ledger.path.read_bytes()


def is_noticed(ledger: Ledger, data: bytes) -> bool:
    """Whether reading, and writing, see that the file is not what was written."""
    ledger.path.write_bytes(data)
    refused = 0
    for signatures in (True, False):
        try:
            _, torn = ledger.read(signatures=signatures)
            refused += torn
        except LedgerTampered:
            refused += 1
    return refused == 2


def test_entries_are_chained_and_signed_and_read_again(tmp_path: Path) -> None:
    """REQ-RELAY-20."""
    ledger = filled(tmp_path)
    entries, torn = ledger.read()
    assert not torn
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert entries[0].previous == FIRST
    assert all(b.previous == a.hash for a, b in pairwise(entries))
    assert {entry.hour for entry in entries} == {HOUR, HOUR + 200}
    for line in ledger.path.read_bytes().splitlines():
        assert canonical(parse_canonical(line, 4096)) == line


# --- tampering -----------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(at=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_a_changed_byte_is_noticed(whole: tuple[Ledger, bytes], at: int, bit: int) -> None:
    """REQ-RELAY-21."""
    ledger, data = whole
    changed = bytearray(data)
    changed[at % len(data)] ^= 1 << bit
    assert is_noticed(ledger, bytes(changed))


@settings(max_examples=100, deadline=None)
@given(
    at=st.integers(min_value=0), byte=st.integers(min_value=0, max_value=255), remove=st.booleans()
)
def test_an_added_or_removed_byte_is_noticed(
    whole: tuple[Ledger, bytes], at: int, byte: int, remove: bool
) -> None:
    """REQ-RELAY-21."""
    ledger, data = whole
    at %= len(data)
    changed = data[:at] + data[at + 1 :] if remove else data[:at] + bytes([byte]) + data[at:]
    if changed != data:
        assert is_noticed(ledger, changed)


@settings(max_examples=100, deadline=None)
@given(order=st.lists(st.integers(min_value=0, max_value=5), max_size=9))
def test_any_other_selection_or_order_of_lines_is_noticed(
    whole: tuple[Ledger, bytes], order: list[int]
) -> None:
    """Removal, repetition, swaps. REQ-RELAY-21."""
    ledger, data = whole
    lines = data.splitlines(keepends=True)
    changed = b"".join(lines[index] for index in order)
    assert is_noticed(ledger, changed) == (order != [0, 1, 2, 3, 4, 5])


def test_every_truncation_is_noticed(whole: tuple[Ledger, bytes]) -> None:
    """REQ-RELAY-21."""
    ledger, data = whole
    assert all(is_noticed(ledger, data[:size]) for size in range(0, len(data), 7))
    assert all(is_noticed(ledger, data[:size]) for size in range(len(data) - 20, len(data)))
    ledger.path.unlink()
    with pytest.raises(LedgerTampered):
        ledger.read()
    ledger.path.write_bytes(data)


def test_a_removed_folder_is_noticed(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    ledger.path.unlink()
    (tmp_path / "ledger" / "ledger.lock").unlink()
    ledger.folder.rmdir()
    with pytest.raises(LedgerTampered):
        ledger.read()
    with pytest.raises(LedgerTampered), ledger.writing(HOUR):
        pass


def test_an_entry_of_another_key_is_noticed(tmp_path: Path) -> None:
    """Whoever has the folder, and not the keys, can add nothing. REQ-RELAY-21."""
    ledger = filled(tmp_path)
    forger = Ledger(ledger.folder, tmp_path / "forger", bytes(32))
    entries, _ = parse_ledger(ledger.path.read_bytes(), None)
    from evanesce.relay.disclosure.entries import make

    forged = make(forger.private, 7, entries[-1].hash, HOUR + 300, "received", received(3))
    is_there = ledger.path.read_bytes() + forged.line + b"\n"
    ledger.path.write_bytes(is_there)
    for signatures in (True, False):
        with pytest.raises(LedgerTampered):
            ledger.read(signatures=signatures)


def test_a_chain_made_anew_is_noticed_by_the_anchor_and_by_printed_heads(tmp_path: Path) -> None:
    """Who has the disclosure key, and rewrites all, still does not give the heads that were
    printed. REQ-RELAY-21."""
    ledger = filled(tmp_path)
    printed = head_of(ledger.read()[0])
    other = begun(tmp_path / "other", tmp_path / "others")
    with other.writing(HOUR) as writer:
        for number in range(1, 7):
            writer.add("received", received(number))
    ledger.path.write_bytes(other.path.read_bytes())
    with pytest.raises(LedgerTampered, match="with the keys stands"):
        ledger.read()
    assert head_of(other.read()[0]).entries == printed.entries
    assert head_of(other.read()[0]) != printed


def test_nothing_is_added_to_a_tampered_ledger(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    data = ledger.path.read_bytes().replace(b"overbroad", b"formal_de")
    ledger.path.write_bytes(data)
    with pytest.raises(LedgerTampered), ledger.writing(HOUR + 300) as writer:
        writer.add("received", received(3))
    assert ledger.path.read_bytes() == data


def test_a_damaged_anchor_is_no_fresh_one(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    ledger.anchor.write_bytes(b"{}")
    with pytest.raises(LocalError, match="anchor"):
        ledger.read()
    ledger.anchor.unlink()
    with pytest.raises(LedgerTampered):
        ledger.read()


def test_an_impossible_history_is_refused_though_signed(tmp_path: Path) -> None:
    """REQ-RELAY-21."""
    ledger = filled(tmp_path)
    entries, _ = ledger.read()
    from evanesce.relay.disclosure.entries import make

    wrong = make(ledger.private, 7, entries[-1].hash, HOUR + 300, "disclosed", disclosed(2))
    with pytest.raises(LedgerTampered, match="was rejected"):
        Requests([*entries, wrong])


# --- crashes -------------------------------------------------------------------------------------


class Crash(Exception):
    """The process ends here."""


class Crashing:
    """Makes the system calls of `files` fail from the n-th on; a write may do a part of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, part: float) -> None:
        self.calls, self.at, self.part = 0, at, part
        for name in ("write", "fsync", "replace", "unlink", "ftruncate"):
            monkeypatch.setattr(os, name, self._wrap(name, getattr(os, name)))

    def _wrap(self, name: str, real: Any) -> Any:
        def call(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls > self.at:
                if self.calls == self.at + 1 and name == "write":
                    handle, data = arguments
                    real(handle, data[: int(len(data) * self.part)])
                raise Crash
            return real(*arguments)

        return call


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_a_crash_at_any_step_of_an_append_loses_no_entry(tmp_path: Path, part: float) -> None:
    """An entry is there as a whole, or told of as torn, or was not begun. REQ-RELAY-21."""
    kinds = set()
    for at in range(12):
        folder = tmp_path / str(at)
        ledger = filled(folder)
        before, _ = ledger.read()
        with pytest.MonkeyPatch.context() as patch:
            crashing = Crashing(patch, at, part)
            try:
                with ledger.writing(HOUR + 300) as writer:
                    writer.add("received", received(3))
                done = True
            except Crash:
                done = False
        entries, torn = ledger.read()
        assert entries[: len(before)] == before
        with ledger.writing(HOUR + 301) as writer:
            pass
        after, clean = ledger.read()
        assert not clean
        added = [entry.kind for entry in after[len(before) :]]
        kinds.update(added)
        if done:
            assert crashing.calls <= at
            assert added == ["received"]
        else:
            assert added in ([], ["received"], ["torn"])
            assert torn or added != ["torn"]
    assert "received" in kinds
    assert ("torn" in kinds) == (part == 0.5)


def test_a_whole_line_without_its_end_is_kept(tmp_path: Path) -> None:
    """REQ-RELAY-21."""
    ledger = filled(tmp_path)
    anchor = ledger.anchor.read_bytes()
    with ledger.writing(HOUR + 300) as writer:
        writer.add("received", received(3))
    ledger.anchor.write_bytes(anchor)  # the crash came before it
    ledger.path.write_bytes(ledger.path.read_bytes()[:-1])
    assert ledger.read()[1]
    with ledger.writing(HOUR + 301) as writer:
        assert [entry.kind for entry in writer.entries[6:]] == ["received"]
    assert ledger.path.read_bytes().endswith(b"}\n")


def test_a_crash_at_any_step_of_mending_is_mended(tmp_path: Path) -> None:
    """REQ-RELAY-21."""
    told = 0
    for at in range(18):
        ledger = filled(tmp_path / str(at))
        with ledger.path.open("ab") as file:
            file.write(b'{"body":{"acc')
        for step in (at, 3, 6):  # again and again
            with pytest.MonkeyPatch.context() as patch:
                Crashing(patch, step, 0.5)
                try:
                    with ledger.writing(HOUR + 300):
                        pass
                except Crash:
                    continue
        with ledger.writing(HOUR + 300) as writer:
            writer.add("received", received(3))
        entries, torn = ledger.read()
        assert not torn
        assert entries[-1].kind == "received"
        lines = [entry for entry in entries if entry.kind == "torn"]
        assert any(entry.body["bytes"] == 13 for entry in lines)
        assert not ledger.folder.joinpath("ledger.torn").exists()
        told += len(lines)
    assert told >= 18


def test_after_a_failed_write_nothing_more_is_added_by_the_same_writer(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    with ledger.writing(HOUR + 300) as writer:
        with pytest.MonkeyPatch.context() as patch:
            Crashing(patch, 0, 0.5)
            with pytest.raises(Crash):
                writer.add("received", received(3))
        with pytest.raises(LocalError) as refused:
            writer.add("received", received(4))
        assert refused.value.reason is Reason.CLOSED


def test_one_writes_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REQ-RELAY-21."""
    import evanesce.relay.disclosure.ledger as module

    monkeypatch.setattr(module, "_WAIT", 0.05)
    ledger = filled(tmp_path)
    other = Ledger(ledger.folder, tmp_path / "keys", SEED)
    with ledger.writing(HOUR + 300):
        for act in (other.read, lambda: other.writing(HOUR + 300).__enter__()):
            with pytest.raises(LocalError) as busy:
                act()
            assert busy.value.reason is Reason.STORE_BUSY
    assert other.read()[0]


def test_many_processes_write_one_chain(tmp_path: Path) -> None:
    """REQ-RELAY-21."""
    import multiprocessing

    begin_anchor(tmp_path / "keys")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add_six, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    entries, torn = Ledger(tmp_path / "ledger", tmp_path / "keys", SEED).read()
    assert not torn
    assert [entry.body["request"] for entry in entries] == list(range(1, 13))


def _add_six(folder: Path) -> None:
    ledger = Ledger(folder / "ledger", folder / "keys", SEED)
    for _ in range(6):
        with ledger.writing(HOUR) as writer:
            writer.add("received", received(len(writer.requests.all) + 1))


def test_a_clock_that_was_set_back_does_not_take_the_ledger_back(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    with ledger.writing(HOUR - 5_000) as writer:
        assert writer.add("received", received(3)).hour == HOUR + 200
    assert ledger.read()[0][-1].hour == HOUR + 200


# --- a loss that is admitted ---------------------------------------------------------------------


def test_a_lost_end_can_be_accepted_and_is_told_of(tmp_path: Path) -> None:
    """REQ-RELAY-21."""
    ledger = filled(tmp_path)
    with pytest.raises(LocalError, match="nothing of the ledger is lost"):
        ledger.accept_loss(HOUR + 300)
    entries, _ = ledger.read()
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(lines[:4]))
    with pytest.raises(LedgerTampered), ledger.writing(HOUR + 300):
        pass
    ledger.accept_loss(HOUR + 300)
    after, _ = ledger.read()
    assert [entry.kind for entry in after[4:]] == ["lost"]
    assert after[4].body == {"entries": 6, "head": entries[-1].hash.hex()}


def test_a_ledger_that_is_gone_with_its_anchor_is_a_loss(tmp_path: Path) -> None:
    """REQ-RELAY-21: a disclosure key without an anchor had a ledger."""
    ledger = filled(tmp_path)
    ledger.path.unlink()
    ledger.anchor.unlink()
    for act in (ledger.read, ledger.writing(HOUR + 300).__enter__):
        with pytest.raises(LedgerTampered, match="anchor"):
            act()
    assert not ledger.path.exists()
    ledger.accept_loss(HOUR + 300)
    [entry] = ledger.read()[0]
    assert (entry.kind, entry.body) == ("lost", {"entries": None, "head": None})
    with pytest.raises(LocalError, match="nothing of the ledger is lost"):
        ledger.accept_loss(HOUR + 300)


def test_an_anchor_that_is_gone_is_a_loss_though_the_entries_are_there(tmp_path: Path) -> None:
    """REQ-RELAY-21: nobody can tell whether these are all."""
    ledger = filled(tmp_path)
    ledger.anchor.unlink()
    ledger.accept_loss(HOUR + 300)
    begin_anchor(ledger.anchor.parent)  # the one that is there stays
    assert [entry.kind for entry in ledger.read()[0]][5:] == ["notified", "lost"]


def test_an_edit_cannot_be_accepted_as_a_loss(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    ledger.path.write_bytes(ledger.path.read_bytes().replace(b"overbroad", b"formal_de"))
    with pytest.raises(LedgerTampered):
        ledger.accept_loss(HOUR + 300)


# --- bodies --------------------------------------------------------------------------------------

GOOD: dict[str, dict[str, Any]] = {
    "received": received(1),
    "narrowed": {"request": 1, "accounts": 1, "ground": "overbroad"},
    "rejected": {"request": 1, "ground": "overbroad"},
    "disclosed": disclosed(1),
    "gag_imposed": {"request": 1, "until": HOUR},
    "gag_extended": {"request": 1, "until": HOUR},
    "gag_lifted": {"request": 1},
    "notified": {"request": 1, "entry": 5, "delayed_hours": 0},
    "not_notified": {"request": 1, "entry": 5},
    "torn": {"bytes": 1, "hash": "00" * 32},
    "reported": {"until": HOUR},
    "lost": {"entries": 1, "head": "00" * 32},
}


def test_every_kind_has_its_fields_and_no_other() -> None:
    """REQ-RELAY-20."""
    assert GOOD.keys() == KINDS.keys()
    for kind, body in GOOD.items():
        check_body(kind, body)
        for name in body:
            others: tuple[Any, ...] = (None, -1, 1.5, True, "Ä", "a" * 65, [], {}, "ab" * 31)
            for wrong in others:
                if KINDS[kind][name](wrong):
                    assert (name, wrong) in {("reference", None), ("again", None),
                                             *((lost, None) for lost in body if kind == "lost"),
                                             ("ground", "ab" * 31),
                                             ("category", "ab" * 31)} or wrong is True
                    continue
                with pytest.raises(LocalError):
                    check_body(kind, {**body, name: wrong})
            with pytest.raises(LocalError):
                check_body(kind, {key: body[key] for key in body if key != name})
        with pytest.raises(LocalError):
            check_body(kind, {**body, "address": "00" * 32})
    with pytest.raises(LocalError):
        check_body("sold", {"request": 1})


REFUSALS = [
    ("received", received(5), "numbered"),
    ("narrowed", {"request": 9, "accounts": 1, "ground": "overbroad"}, "no request 9"),
    ("narrowed", {"request": 3, "accounts": 3, "ground": "overbroad"}, "cannot grow"),
    ("narrowed", {"request": 1, "accounts": 1, "ground": "overbroad"}, "answered or rejected"),
    ("rejected", {"request": 2, "ground": "overbroad"}, "answered or rejected"),
    ("disclosed", disclosed(2), "was rejected"),
    ("disclosed", disclosed(3, again=5), "no answer about this mailbox in entry 5"),
    ("reported", {"until": HOUR + 201}, "not over"),
    ("gag_extended", {"request": 3, "until": HOUR + 999}, "no gag order"),
    ("gag_lifted", {"request": 1}, "no gag order"),  # it has ended by itself
    ("gag_imposed", {"request": 3, "until": HOUR + 200}, "has ended"),
    ("notified", {"request": 1, "entry": 5, "delayed_hours": 0}, "already"),
    ("notified", {"request": 3, "entry": 5, "delayed_hours": 0}, "no answer in entry 5"),
]


@pytest.mark.parametrize(("kind", "body", "why"), REFUSALS)
def test_what_cannot_follow_is_refused_and_not_written(
    tmp_path: Path, kind: str, body: dict[str, Any], why: str
) -> None:
    """REQ-RELAY-21."""
    ledger = filled(tmp_path)
    with ledger.writing(HOUR + 200) as writer:
        writer.add("received", received(3))
        data = ledger.path.read_bytes()
        with pytest.raises(LocalError, match=why):
            writer.add(kind, body)
        assert ledger.path.read_bytes() == data
        writer.add("rejected", {"request": 3, "ground": "unclear"})  # and it goes on


def test_no_more_accounts_are_answered_than_were_asked_about(tmp_path: Path) -> None:
    ledger = filled(tmp_path)
    with ledger.writing(HOUR + 200) as writer:
        writer.add("received", received(3, accounts=5))
        writer.add("narrowed", {"request": 3, "accounts": 1, "ground": "overbroad"})
        first = writer.add("disclosed", disclosed(3)).sequence
        with pytest.raises(LocalError, match="all of which are answered"):
            writer.add("disclosed", disclosed(3))
        writer.add("disclosed", disclosed(3, again=first))


def test_an_answer_is_given_again_only_about_the_same_mailbox(tmp_path: Path) -> None:
    """Else one account in the reports would be any number of mailboxes. REQ-RELAY-21."""
    ledger = filled(tmp_path)
    with ledger.writing(HOUR + 200) as writer:
        writer.add("received", received(3, accounts=1))
        first = writer.add("disclosed", disclosed(3)).sequence
        data = ledger.path.read_bytes()
        other = {**disclosed(3, again=first), "subject": "ba" * 32}
        # Another mailbox; an answer to another request; no answer at all.
        for wrong in (other, disclosed(3, again=5), disclosed(3, again=1),
                      disclosed(1, again=first)):  # fmt: skip
            with pytest.raises(LocalError, match="no answer about this mailbox"):
                writer.add("disclosed", wrong)
        assert ledger.path.read_bytes() == data
        again = writer.add("disclosed", disclosed(3, again=first)).sequence
        writer.add("disclosed", disclosed(3, again=again))


# --- canonical JSON ------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(max_codepoint=126), max_size=6), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=VALUES)
def test_canonical_json_comes_back_as_it_was(value: Any) -> None:
    assert parse_canonical(canonical(value), 10**6) == value


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b'{"a":1,"a":1}', b'{"b":1,"a":1}', b'{ "a":1}', b"1.0", b"NaN", b"1e3",
        b'"\\u0061"', b'"\\ud800"', b"9007199254740992", b"[" * 20 + b"]" * 20, b"[" * 9000,
        b'"\xff"', b"\xef\xbb\xbf1", b"-0", b"01", b"[1,]", b"1" * 5000,
    ],
)  # fmt: skip
def test_what_is_not_canonical_is_refused(data: bytes) -> None:
    with pytest.raises(Exception) as refused:  # noqa: PT011
        parse_canonical(data, 10_000)
    assert type(refused.value).__name__ == "RemoteError"


def test_random_bytes_are_no_ledger() -> None:
    source = random.Random(1)
    for _ in range(50):
        with pytest.raises(LedgerTampered):
            parse_ledger(source.randbytes(40) + b"\n", None)
