"""Disclosures over a real relay: exactly what is held, in the ledger first; its owner is told."""

import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evanesce.errors import LocalError, Reason, RemoteError
from evanesce.limits import HOUR
from evanesce.primitives import H, sign
from evanesce.relay.clock import ManualRelayClock
from evanesce.relay.disclosure.answer import check_answer, hash_of
from evanesce.relay.disclosure.audit import check_given, loose_ends
from evanesce.relay.disclosure.disclose import Disclosed, disclose
from evanesce.relay.disclosure.entries import LedgerTampered
from evanesce.relay.disclosure.ledger import Ledger
from evanesce.relay.disclosure.notices import disclosure_key, give_due, open_ledger
from evanesce.relay.disclosure.pending import Spool
from evanesce.relay.disclosure.signed_json import canonical, unsigned
from evanesce.relay.disclosure.source import Beside
from evanesce.relay.disclosure.statement import Statement, parse_statement, subject_of
from evanesce.relay.items import Cursor, Posted, Waiting
from evanesce.relay.keys import RelayKeys
from evanesce.relay.memory_rows import MemoryRows
from evanesce.relay.relay import Relay
from evanesce.relay.settings import RelaySettings

NOW = 480_000
ADDRESS = H(b"mailbox", b"a")
OTHER = H(b"mailbox", b"b")
CAPABILITY = b"c" * 16


@dataclass
class Place:
    """A relay with a ledger."""

    folder: Path
    relay: Relay
    beside: Beside
    clock: ManualRelayClock
    ledger: Ledger
    spool: Spool

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def books(self) -> Path:
        return self.folder / "ledger"

    def request(self, accounts: int = 1) -> int:
        with self.ledger.writing(self.clock.hour()) as writer:
            number = len(writer.requests.all) + 1
            writer.add("received", {
                "request": number, "jurisdiction": "KR", "category": "search_seizure",
                "accounts": accounts, "received": "2026-01-31", "reference": None,
            })  # fmt: skip
        return number

    async def put(self, *ids: bytes, size: int = 512) -> None:
        done = await self.relay.put([Posted(ADDRESS, CAPABILITY, id, id * (size // 16))
                                     for id in ids])  # fmt: skip
        assert done == [None] * len(ids)

    async def disclose(self, request: int, address: bytes = ADDRESS, **more: Any) -> Disclosed:
        return await disclose(
            self.beside, self.ledger, self.spool, address=address, request=request,
            hour=self.clock.hour(), retention_hours=72, **more,
        )  # fmt: skip

    async def give(self) -> int:
        return await give_due(self.relay, self.books, self.clock.hour(), keys=self.keys)

    async def notices(self, address: bytes = ADDRESS) -> list[Statement]:
        waiting = await self.relay.fetch(address, Cursor(), 1000, 1 << 24)
        return [parse_statement(each.data) for each in waiting if each.is_notice]

    def kinds(self) -> list[str]:
        entries, torn = self.ledger.read()
        assert not torn
        assert loose_ends(self.ledger, self.spool, entries) == []
        return [entry.kind for entry in entries]


async def make_place(folder: Path) -> Place:
    settings = RelaySettings(mailboxes=64)
    store, clock = MemoryRows(), ManualRelayClock(NOW * HOUR + 1234)
    keys = RelayKeys.open(folder / "keys")
    relay = Relay(store, keys, clock, settings)
    await relay.start()
    await relay.make_mailbox(ADDRESS, H(b"capability", CAPABILITY))
    beside = Beside(store, RelayKeys.open(folder / "keys", make=False), clock, settings)
    await beside.check()
    ledger, spool = open_ledger(folder / "ledger", folder / "keys")
    return Place(folder, relay, beside, clock, ledger, spool)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = await make_place(tmp_path)
    yield made
    await made.relay.stop()


def held(disclosed: Disclosed) -> dict[str, Any]:
    return {each["field"]: each["value"] for each in json.loads(disclosed.answer)["held"]}


# --- what is said --------------------------------------------------------------------------------

ID_1, ID_2 = b"1" * 16, b"2" * 16


async def test_an_answer_says_exactly_what_waits(place: Place) -> None:
    """REQ-RELAY-23."""
    await place.put(ID_1)
    place.clock.advance(HOUR)
    await place.put(ID_2, size=1024)
    before = {name: place.beside._store.__dict__[name].copy() for name in ("rows", "buckets")}
    disclosed = await place.disclose(place.request())
    assert held(disclosed) == {
        "mailbox": {
            "write_capability_hash": H(b"capability", CAPABILITY).hex(),
            "lease_quarter": (await place.relay.holdings(ADDRESS))["lease_quarter"],
        },
        "envelopes": [{"bytes": 512, "expires_hour": NOW + 72},
                      {"bytes": 1024, "expires_hour": NOW + 73}],
        "envelope_ids": [ID_1.hex(), ID_2.hex()],
    }  # fmt: skip
    after = {name: place.beside._store.__dict__[name] for name in ("rows", "buckets")}
    assert after == before  # nothing was changed by looking
    entry = place.ledger.read()[0][-1]
    assert entry.kind == "disclosed"
    assert (entry.body["with_data"], entry.body["with_envelopes"]) == (True, False)


async def test_after_an_ack_only_that_something_was_there_is_left(place: Place) -> None:
    """REQ-RELAY-23."""
    await place.put(ID_1, ID_2)
    await place.relay.ack(ADDRESS, [ID_1])
    told = held(await place.disclose(place.request(accounts=3)))
    assert told["envelope_ids"] == [ID_2.hex()]
    assert len(told["envelopes"]) == told["erased_places"] == 1
    await place.relay.ack(ADDRESS, [ID_2])
    told = held(await place.disclose(1))
    assert told.keys() == {"mailbox", "erased_places"}
    place.clock.advance(73 * HOUR)
    await place.relay.tick()
    assert held(await place.disclose(1)).keys() == {"mailbox"}


async def test_no_such_mailbox_is_an_answer(place: Place) -> None:
    """REQ-RELAY-23."""
    disclosed = await place.disclose(place.request(), OTHER)
    value = json.loads(disclosed.answer)
    assert (value["exists"], value["held"], value["mailbox"]) == (False, [], OTHER.hex())
    assert place.ledger.read()[0][-1].body["with_data"] is False


async def test_an_answer_says_what_is_not_held_and_why(place: Place) -> None:
    """REQ-RELAY-23."""
    value = json.loads((await place.disclose(place.request())).answer)
    missing = {each["field"]: each["why"] for each in value["not_held"]}
    assert {"sender", "room", "participants", "contents", "network_address", "times", "identity",
            "read_history", "delivered"} <= missing.keys()  # fmt: skip
    assert all(missing.values())
    assert not missing.keys() & held_names(value)


def held_names(value: dict[str, Any]) -> set[str]:
    return {each["field"] for each in value["held"]}


async def test_an_answer_is_signed_and_bound_to_its_entry(place: Place, tmp_path: Path) -> None:
    """REQ-RELAY-23, REQ-RELAY-22."""
    disclosed = await place.disclose(place.request())
    value = check_answer(disclosed.answer, place.ledger.public)
    entries, _ = place.ledger.read()
    entry = entries[disclosed.entry - 1]
    assert entry.body["document"] == hash_of(disclosed.answer).hex()
    assert value["ledger"] == {"entry": entry.sequence, "previous": entry.previous.hex()}
    salt = bytes.fromhex(value["salt"])
    assert entry.body["subject"] == value["subject"] == subject_of(salt, ADDRESS).hex()
    path = tmp_path / "answer"
    path.write_bytes(disclosed.answer + b"\n")
    assert check_given(path, entries, place.ledger.public) == f"answer, entry {entry.sequence}"
    path.write_bytes(disclosed.answer.replace(b'"exists":true', b'"exists":false'))
    with pytest.raises(RemoteError):
        check_given(path, entries, place.ledger.public)
    with pytest.raises(RemoteError):
        check_answer(disclosed.answer, bytes(32))


async def test_envelopes_are_handed_over_as_they_were_sealed(place: Place, tmp_path: Path) -> None:
    """REQ-RELAY-23."""
    await place.put(ID_1, ID_2, size=2048)
    folder = tmp_path / "out"
    disclosed = await place.disclose(place.request(), envelopes_to=folder)
    value = json.loads(disclosed.answer)
    assert [each["file"] for each in value["envelopes"]] == sorted(os.listdir(folder))
    found = {(folder / each["file"]).read_bytes() for each in value["envelopes"]}
    assert found == {ID_1 * 128, ID_2 * 128}
    for each in value["envelopes"]:
        data = (folder / each["file"]).read_bytes()
        assert (each["bytes"], each["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert place.ledger.read()[0][-1].body["with_envelopes"] is True
    with pytest.raises(LocalError, match="is there already"):
        await place.disclose(place.request(), envelopes_to=folder)
    await place.give()
    assert (await place.notices())[0].envelopes == 2


async def test_no_address_and_no_secret_stands_in_the_ledger(place: Place) -> None:
    """REQ-RELAY-22."""
    await place.put(ID_1)
    await place.disclose(place.request(), gag_until=NOW + 5)
    secrets = [ADDRESS, CAPABILITY, ID_1, H(b"capability", CAPABILITY),
               RelayKeys.open(place.keys, make=False).disclosure_seed().reveal()]  # fmt: skip
    seen = 0
    for path in place.books.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            seen += len(data)
            for secret in secrets:
                assert secret not in data
                assert secret.hex().encode() not in data
    assert seen > 1000
    assert (place.books / "pending").exists()


async def test_with_other_settings_nothing_is_said_rather_than_that_nothing_is_held(
    place: Place,
) -> None:
    """REQ-RELAY-23."""
    keys = RelayKeys.open(place.keys, make=False)
    wrong = Beside(place.beside._store, keys, place.clock, RelaySettings(mailboxes=4096))
    with pytest.raises(LocalError) as refused:
        await wrong.check()
    assert refused.value.reason is Reason.BAD_STORE
    empty = Beside(MemoryRows(), keys, place.clock, RelaySettings(mailboxes=64))
    with pytest.raises(LocalError, match="no relay has been run"):
        await empty.check()


async def test_a_store_that_does_not_answer_is_no_answer(place: Place) -> None:
    """REQ-RELAY-23."""
    number = place.request()
    store = place.beside._store
    assert isinstance(store, MemoryRows)
    for failing in ("read", "bucket"):
        store.failing = {failing}
        with pytest.raises(RemoteError):
            await place.disclose(number)
    store.failing = set()
    assert place.kinds() == ["received"]


# --- requests ------------------------------------------------------------------------------------


async def test_only_what_was_asked_is_answered(place: Place) -> None:
    """REQ-RELAY-21."""
    with pytest.raises(LocalError, match="no request 1"):
        await place.disclose(1)
    number = place.request()
    await place.disclose(number)
    with pytest.raises(LocalError, match="all of which are answered"):
        await place.disclose(number)
    assert place.kinds() == ["received", "disclosed"]
    await place.disclose(number, again=True)
    assert place.ledger.read()[0][-1].body["again"] == 2
    with place.ledger.writing(NOW) as writer:
        writer.add("received", {**writer.entries[0].body, "request": 2})
        writer.add("rejected", {"request": 2, "ground": "overbroad"})
    with pytest.raises(LocalError, match="was rejected"):
        await place.disclose(2)


async def test_an_answer_is_given_again_about_no_other_mailbox(place: Place) -> None:
    """REQ-RELAY-21: one account in the report is one mailbox, and everybody can see it."""
    number = place.request()
    first = json.loads((await place.disclose(number, gag_until=NOW + 5)).answer)
    with pytest.raises(LocalError, match="no answer about this mailbox"):
        await place.disclose(number, OTHER, again=True)
    assert place.kinds() == ["received", "gag_imposed", "disclosed"]
    again = json.loads((await place.disclose(number, again=True)).answer)
    assert (again["salt"], again["subject"]) == (first["salt"], first["subject"])
    bodies = [entry.body for entry in place.ledger.read()[0][2:]]
    assert [each["subject"] for each in bodies] == [first["subject"]] * 2
    assert [each["again"] for each in bodies] == [None, 3]
    place.clock.advance(5 * HOUR)
    assert await place.give() == 2
    with pytest.raises(LocalError, match="salt was forgotten"):
        await place.disclose(number, again=True)


async def test_of_several_answers_that_one_is_given_again_which_is_asked_for(
    place: Place,
) -> None:
    """REQ-RELAY-21."""
    number = place.request(accounts=2)
    first = json.loads((await place.disclose(number, gag_until=NOW + 5)).answer)
    await place.disclose(number, OTHER)
    again = json.loads((await place.disclose(number, again=True)).answer)
    assert (again["mailbox"], again["salt"]) == (ADDRESS.hex(), first["salt"])
    with pytest.raises(LocalError, match="all of which are answered"):
        await place.disclose(number)
    entries, _ = place.ledger.read()
    assert [entry.body["again"] for entry in entries[2:]] == [None, None, 3]


async def test_an_answer_is_about_the_mailbox_that_its_entry_commits_to(
    place: Place, tmp_path: Path
) -> None:
    """REQ-RELAY-22, REQ-RELAY-23: though both are signed."""
    disclosed = await place.disclose(place.request(accounts=2))
    value = json.loads(disclosed.answer)
    value["mailbox"], value["ledger"]["entry"] = OTHER.hex(), 3
    private = place.ledger.private
    value["signature"] = sign(private, b"disclosure", unsigned(value)).hex()
    forged = canonical(value)
    with place.ledger.writing(NOW) as writer:
        body = {**writer.entries[1].body, "document": hash_of(forged).hex()}
        writer.add("disclosed", body)
    path = tmp_path / "answer"
    path.write_bytes(forged)
    with pytest.raises(RemoteError, match="of another mailbox"):
        check_given(path, place.ledger.read()[0], place.ledger.public)


async def test_a_tampered_ledger_answers_nothing(place: Place) -> None:
    """REQ-RELAY-21."""
    number = place.request()
    data = place.ledger.path.read_bytes()
    place.ledger.path.write_bytes(data.replace(b"search_seizure", b"search_seizurf"))
    with pytest.raises(LedgerTampered):
        await place.disclose(number)
    assert place.spool.numbers() == []


# --- notices -------------------------------------------------------------------------------------


async def test_the_owner_is_told_at_once(place: Place) -> None:
    """REQ-RELAY-24."""
    await place.put(ID_1)
    disclosed = await place.disclose(place.request())
    assert await place.give() == 1
    [statement] = await place.notices()
    entries, _ = place.ledger.read()
    entry = entries[disclosed.entry - 1]
    assert statement.concerns(ADDRESS)
    assert not statement.concerns(OTHER)
    assert (statement.entry, statement.head) == (entry.sequence, entry.hash)
    assert statement.subject.hex() == entry.body["subject"]
    assert statement.key == place.ledger.public
    assert statement.handed_over == ("mailbox", "envelopes", "envelope_ids")
    assert (statement.jurisdiction, statement.category) == ("KR", "search_seizure")
    assert (statement.delayed_hours, statement.gag_order) == (0, False)
    assert place.kinds() == ["received", "disclosed", "notified"]
    assert await place.give() == 0
    assert len(await place.notices()) == 1
    assert [path for path in place.folder.rglob("*") if path.suffix == ".notice"] == []


async def test_a_gag_order_delays_the_notice_and_the_delay_is_told(place: Place) -> None:
    """REQ-RELAY-24."""
    await place.disclose(place.request(), gag_until=NOW + 100)
    place.clock.advance(99 * HOUR)
    assert await place.give() == 0
    assert await place.notices() == []
    place.clock.advance(HOUR)
    assert await place.give() == 1
    [statement] = await place.notices()
    assert (statement.delayed_hours, statement.gag_order) == (100, True)
    assert (statement.disclosed, statement.told) == (NOW, NOW + 100)
    assert place.kinds() == ["received", "gag_imposed", "disclosed", "notified"]
    assert place.ledger.read()[0][-1].body["delayed_hours"] == 100


async def test_a_gag_order_may_be_extended_or_lifted(place: Place) -> None:
    """REQ-RELAY-24."""
    number = place.request(accounts=2)
    await place.disclose(number, gag_until=NOW + 10)
    await place.disclose(number, gag_until=NOW + 10)  # the same order: no other
    with place.ledger.writing(NOW + 1) as writer:
        writer.add("gag_extended", {"request": number, "until": NOW + 50})
    place.clock.advance(20 * HOUR)
    assert await place.give() == 0
    with place.ledger.writing(NOW + 20) as writer:
        writer.add("gag_lifted", {"request": number})
    assert await place.give() == 2
    assert [each.delayed_hours for each in await place.notices()] == [20, 20]
    assert all(each.gag_order for each in await place.notices())
    assert place.kinds()[:3] == ["received", "gag_imposed", "disclosed"]
    assert place.kinds().count("gag_imposed") == 1


async def test_an_order_that_ended_in_the_hour_it_began_is_told_too(place: Place) -> None:
    """REQ-RELAY-24: before the answer it has delayed nothing, after it has."""
    number = place.request(accounts=2)
    with place.ledger.writing(NOW) as writer:
        writer.add("gag_imposed", {"request": number, "until": NOW + 10})
        writer.add("gag_lifted", {"request": number})
    await place.disclose(number)
    assert await place.give() == 1
    assert [each.gag_order for each in await place.notices()] == [False]
    await place.disclose(number, gag_until=NOW + 500)
    with place.ledger.writing(NOW) as writer:
        writer.add("gag_lifted", {"request": number})
    place.clock.advance(40 * HOUR)
    assert await place.give() == 1
    assert [each.gag_order for each in await place.notices()] == [False, True]
    await place.disclose(place.request())
    with place.ledger.writing(NOW + 40) as writer:
        writer.add("gag_imposed", {"request": 2, "until": NOW + 41})
        writer.add("gag_lifted", {"request": 2})
    assert await place.give() == 1
    assert [each.gag_order for each in await place.notices()] == [False, True, True]


async def test_a_gag_order_that_comes_while_a_notice_is_left_delays_the_account_of_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQ-RELAY-24."""
    await place.disclose(place.request())
    leave = place.relay.leave_notice

    async def gagged(address: bytes, statement: bytes) -> bool:
        with place.ledger.writing(NOW) as writer:
            writer.add("gag_imposed", {"request": 1, "until": NOW + 10})
        return await leave(address, statement)

    monkeypatch.setattr(place.relay, "leave_notice", gagged)
    await place.give()
    monkeypatch.undo()
    assert place.kinds() == ["received", "disclosed", "gag_imposed"]
    assert await place.give() == 0
    place.clock.advance(10 * HOUR)
    assert await place.give() == 1
    assert place.kinds()[3:] == ["notified"]
    assert [each.delayed_hours for each in await place.notices()] == [0, 10]


async def test_another_request_is_told_of_while_one_is_gagged(place: Place) -> None:
    """REQ-RELAY-24."""
    await place.disclose(place.request(), gag_until=NOW + 10)
    await place.disclose(place.request())
    assert await place.give() == 1
    assert [each.request for each in await place.notices()] == [2]


async def test_a_mailbox_that_is_not_there_cannot_be_told(place: Place) -> None:
    """REQ-RELAY-24."""
    await place.disclose(place.request(), OTHER)
    assert await place.give() == 0
    assert place.kinds() == ["received", "disclosed", "not_notified"]
    assert place.spool.numbers() == []


async def test_a_busy_store_is_tried_again_and_holds_up_no_other(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQ-RELAY-24."""
    await place.relay.make_mailbox(OTHER, H(b"capability", CAPABILITY))
    await place.disclose(place.request())
    await place.disclose(place.request(), OTHER)
    leave = place.relay.leave_notice

    async def busy(address: bytes, statement: bytes) -> bool:
        if address == ADDRESS:
            raise RemoteError(Reason.RELAY_BUSY, "")
        return await leave(address, statement)

    monkeypatch.setattr(place.relay, "leave_notice", busy)
    with pytest.raises(ExceptionGroup):
        await place.give()
    assert len(await place.notices(OTHER)) == 1
    monkeypatch.undo()
    assert await place.give() == 1
    assert len(await place.notices()) == 1
    assert len(await place.notices(OTHER)) == 1


async def test_a_pending_notice_tells_nothing_without_its_key(place: Place) -> None:
    """REQ-RELAY-24: what is copied from the folder of the ledger stays sealed."""
    disclosed = await place.disclose(place.request(), gag_until=NOW + 5)
    copy = {path.name: path.read_bytes() for path in (place.books / "pending").iterdir()}
    assert all(ADDRESS not in data and ADDRESS.hex().encode() not in data for data in copy.values())
    [key] = (place.keys / "disclosure" / "pending").iterdir()
    assert len(key.read_bytes()) == 32
    place.clock.advance(5 * HOUR)
    assert await place.give() == 1
    assert not key.exists()
    for name, data in copy.items():
        (place.books / "pending" / name).write_bytes(data)  # a backup is put back
    with pytest.raises(LocalError):
        place.spool.read(disclosed.entry)
    assert await place.give() == 0  # it has been given
    assert place.spool.numbers() == []


async def test_a_damaged_pending_notice_is_told_of(place: Place) -> None:
    """REQ-RELAY-24."""
    await place.disclose(place.request(accounts=2))
    await place.disclose(1)
    [first, _] = sorted((place.books / "pending").iterdir())
    first.write_bytes(b"x" * 60)
    with pytest.raises(ExceptionGroup):
        await place.give()
    assert len(await place.notices()) == 1
    entries, _ = place.ledger.read()
    assert "damaged" in loose_ends(place.ledger, place.spool, entries)[0]
    first.unlink()
    assert "missing" in loose_ends(place.ledger, place.spool, entries)[0]


async def test_two_relays_may_give_at_once(place: Place) -> None:
    """Twice perhaps, but accounted for once. REQ-RELAY-24."""
    import asyncio

    await place.disclose(place.request())
    done = await asyncio.gather(place.give(), place.give())
    assert sum(done) == 1
    assert 1 <= len(await place.notices()) <= 2
    assert place.kinds() == ["received", "disclosed", "notified"]


# --- crashes -------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends here."""


def crash_at(patch: pytest.MonkeyPatch, step: int) -> list[int]:
    """Every system call that changes a file, from the given one on, ends the process before it."""
    calls = [0]

    def wrap(real: Any) -> Any:
        def call(*arguments: Any) -> Any:
            calls[0] += 1
            if calls[0] > step:
                raise Crash
            return real(*arguments)

        return call

    for name in ("write", "fsync", "replace", "unlink", "ftruncate"):
        patch.setattr(os, name, wrap(getattr(os, name)))
    return calls


async def test_a_crash_at_any_step_of_a_disclosure_hides_nothing(tmp_path: Path) -> None:
    """What was given out stands in the ledger, and its notice waits. REQ-RELAY-24."""
    ended = 0
    for step in range(200):
        place = await make_place(tmp_path / str(step))
        number = place.request()
        given = None
        with pytest.MonkeyPatch.context() as patch:
            crash_at(patch, step)
            with suppress(Crash):
                given = await place.disclose(number, gag_until=NOW + 5)
        # Another process goes on, and what comes next is something else.
        with place.ledger.writing(NOW) as writer:
            writer.add("received", {**writer.entries[0].body, "request": 2})
        recorded = place.kinds().count("disclosed")
        if given is not None:
            assert recorded == 1
            ended += 1
        place.clock.advance(5 * HOUR)
        assert await place.give() == recorded
        assert len(await place.notices()) == recorded
        assert place.spool.left() == set()
        for pending in (place.books / "pending", place.keys / "disclosure" / "pending"):
            assert not pending.exists() or list(pending.iterdir()) == []
        if recorded == 0:  # and the request can still be answered
            await place.disclose(number)
            assert await place.give() == 1
        place.kinds()
        await place.relay.stop()
        if ended == 2:
            return
    raise AssertionError("it never came to its end")


async def test_a_crash_at_any_step_of_giving_loses_no_notice(tmp_path: Path) -> None:
    """REQ-RELAY-24."""
    ended = twice = 0
    for step in range(60):
        place = await make_place(tmp_path / str(step))
        await place.disclose(place.request())
        with pytest.MonkeyPatch.context() as patch:
            crash_at(patch, step)
            try:
                await place.give()
                ended += 1
            except Crash:
                pass
        await place.give()
        notices = await place.notices()
        assert 1 <= len(notices) <= 2
        twice += len(notices) == 2
        assert place.kinds()[:2] == ["received", "disclosed"]
        assert place.kinds().count("notified") == 1
        assert place.spool.numbers() == []
        await place.relay.stop()
        if ended == 2:
            break
    assert ended == 2
    assert twice > 0


async def test_a_crash_while_the_notice_is_left_gives_it_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQ-RELAY-24."""
    await place.disclose(place.request())
    leave = place.relay.leave_notice

    async def before(address: bytes, statement: bytes) -> bool:
        raise Crash

    async def after(address: bytes, statement: bytes) -> bool:
        await leave(address, statement)
        raise Crash

    for crash, count in ((before, 0), (after, 1)):
        monkeypatch.setattr(place.relay, "leave_notice", crash)
        with pytest.raises(Crash):
            await place.give()
        assert len(await place.notices()) == count
    monkeypatch.undo()
    assert await place.give() == 1
    assert len(await place.notices()) == 2


async def test_a_process_that_is_killed_leaves_no_envelope_without_an_entry(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQ-RELAY-23: what lies there is sealed under a key that was in its memory."""
    await place.put(ID_1, ID_2)
    number = place.request()
    folder = tmp_path / "out"

    def killed(*_: Any, **__: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr("evanesce.relay.disclosure.disclose._write", killed)
        patch.setattr("shutil.rmtree", lambda *_, **__: None)  # who is killed cannot
        with suppress(Crash):
            await place.disclose(number, envelopes_to=folder)
    left = [path.read_bytes() for path in folder.with_name("out.draft").iterdir()]
    assert len(left) == 2
    assert all(ID_1 not in data and ID_2 not in data for data in left)
    assert place.kinds() == ["received"]
    await place.disclose(number, envelopes_to=folder)
    assert sorted(path.read_bytes() for path in folder.iterdir()) == [ID_1 * 32, ID_2 * 32]
    assert not folder.with_name("out.draft").exists()


def test_the_key_is_made_after_the_anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REQ-RELAY-21: so a key without one had a ledger that is lost."""
    folder, keys = tmp_path / "ledger", tmp_path / "keys"
    RelayKeys.open(keys)
    with monkeypatch.context() as patch:

        def killed(_: RelayKeys) -> None:
            raise Crash

        patch.setattr(RelayKeys, "disclosure_seed", killed)
        with suppress(Crash):
            disclosure_key(keys)
    anchor = keys / "disclosure" / "ledger.anchor"
    assert anchor.exists()
    public = disclosure_key(keys)
    ledger, _ = open_ledger(folder, keys)
    assert (ledger.public, ledger.read()) == (public, ([], False))
    anchor.unlink()
    again, _ = open_ledger(folder, keys)
    with pytest.raises(LedgerTampered, match="anchor"):
        again.read()
    assert disclosure_key(keys) == public
    assert not anchor.exists()


async def test_envelopes_of_a_disclosure_that_failed_are_not_left_behind(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is handed over that the ledger does not have. REQ-RELAY-23."""
    await place.put(ID_1)
    folder = tmp_path / "out"
    with pytest.raises(LocalError):
        await place.disclose(7, envelopes_to=folder)
    assert not folder.exists()
    assert not folder.with_name("out.draft").exists()

    async def gone(*_: Any) -> list[Waiting]:
        raise RemoteError(Reason.RELAY_BUSY, "")

    monkeypatch.setattr(place.beside, "fetch", gone)
    with pytest.raises(RemoteError):
        await place.disclose(place.request(), envelopes_to=folder)
    assert not folder.exists()
