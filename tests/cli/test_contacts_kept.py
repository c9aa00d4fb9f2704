"""Contacts as they are kept: older ones, and those whose change was interrupted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from evanesce import Card, Device, MemoryStore, MemoryTransport, Pin, terminal
from evanesce.ports import APPLICATION
from evanesce.terminal.contacts import Contacts
from evanesce.terminal.problems import Refused

ROW = APPLICATION + b"contact/Junho"


@pytest.fixture
async def mina() -> AsyncIterator[Device]:
    async with Device.open(MemoryStore(), MemoryTransport(), name="Mina") as device:
        yield device


async def made(name: str) -> Card:
    async with Device.open(MemoryStore(), MemoryTransport(), name=name) as device:
        return await device.card()


def row(device: Device) -> bytes:
    with device.store.transaction() as tx:
        data = tx.get(ROW)
    assert data is not None
    return data


def put_back(device: Device, data: bytes) -> Contacts:
    """The contacts, had the process ended before their record was written anew."""
    with device.store.transaction() as tx:
        tx.put(ROW, data)
    return Contacts(device)


async def test_a_contact_from_before_there_were_pins_is_pinned_when_another_card_comes(
    mina: Device,
) -> None:
    card, other = await made("Junho"), await made("Junho")
    older = json.dumps({"card": card.encode().hex(), "verified": True}).encode()
    contacts = put_back(mina, older)
    assert contacts.get("Junho").verified
    assert contacts.offered(contacts.get("Junho")) is None
    assert not mina.pins
    with pytest.raises(Refused, match="not the card of the one you know as Junho"):
        await contacts.add("Junho", other, replacing=True)
    assert mina.pins == (Pin("junho", card.identity, other.identity),)
    assert contacts.get("Junho").card == card
    with pytest.raises(Refused, match="nothing is sent"):
        contacts.settled("Junho")


async def test_an_acceptance_that_was_interrupted_holds(mina: Device) -> None:
    card, other = await made("Junho"), await made("Junho")
    contacts = Contacts(mina)
    contacts.confirm(await contacts.add("Junho", card, replacing=False))
    with pytest.raises(Refused):
        await contacts.add("Junho", other, replacing=False)
    waiting = row(mina)
    await contacts.accept("Junho")
    for again in (Contacts(mina), put_back(mina, waiting)):
        found = again.settled("Junho")
        assert (found.card, found.verified) == (other, False)
        assert again.of(card.identity) is None
        assert again.of(other.identity) == found


async def test_a_refusal_and_an_offer_that_were_interrupted_can_be_made_again(
    mina: Device,
) -> None:
    card, other, third = [await made(name) for name in ("Junho", "Junho", "Junho")]
    contacts = Contacts(mina)
    await contacts.add("Junho", card, replacing=False)
    known = row(mina)
    with pytest.raises(Refused):
        await contacts.add("Junho", other, replacing=False)
    waiting = row(mina)
    await contacts.refuse("Junho")
    contacts = put_back(mina, waiting)  # its record still has the card that was refused
    assert contacts.settled("Junho").card == card
    with pytest.raises(Refused, match="no other card waits"):
        await contacts.accept("Junho")

    with pytest.raises(Refused):
        await contacts.add("Junho", third, replacing=False)
    for damaged in (known, waiting):  # another card than the pin's, or none
        contacts = put_back(mina, damaged)
        with pytest.raises(Refused, match="not complete"):
            await contacts.accept("Junho")
    with pytest.raises(Refused):
        await contacts.add("Junho", third, replacing=False)
    assert (await contacts.accept("Junho")).card == third
    contacts = put_back(mina, row(mina))
    assert contacts.settled("Junho").card == third


def test_the_terminal_uses_only_what_any_application_can() -> None:
    found = [
        f"{path.name}: {word}"
        for path in sorted(Path(terminal.__file__).parent.glob("*.py"))
        for word in (".engine", ".keep(", "._run(", ".state.epochs")
        if word in path.read_text("utf-8")
    ]
    assert found == []
