"""Commands about people: make a home, show one's card, keep contacts, compare numbers."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Final

from ..device import Device
from ..identity import safety_number
from .answer import Answer
from .cardtext import card_from_text, card_to_text, is_whole
from .contacts import Contact
from .home import Home, default_home
from .mail import absolute, mail_of, reach
from .passphrase import choose_passphrase
from .problems import Refused
from .qr import HINT, qr_code
from .session import Session
from .text import safe_name

__all__ = ["accept_contact", "add_contact", "card", "init", "list_contacts", "number_lines",
           "refuse_contact", "remove_contact", "verify"]  # fmt: skip

_CARD_SIZE: Final = 64 * 1024  # characters of pasted text


async def init(options: argparse.Namespace) -> Answer:
    """Make a home."""
    path = Path(os.path.abspath((options.home or default_home()).expanduser()))
    if options.net is None:
        raise Refused("--net is missing: the folder that all who chat share, or a relay's URL",
                      code=2)  # fmt: skip
    home = Home.fresh(path, absolute(options.net))
    await reach(home.net)
    key = choose_passphrase(options)
    home.make()
    try:
        with home.open_store(key) as store:
            async with mail_of(home.net) as mail, Device.open(
                store, mail.transport, name=options.name
            ):
                pass
        home.save()
    except BaseException:
        home.unmake()
        raise
    name = safe_name(options.name)
    return Answer(
        f"{name} has a home in {path}.\nNext: hand out your card (evanesce card), and add the "
        "cards of others\n(evanesce contacts add NAME).",
        {"name": options.name, "home": str(path), "net": str(home.net)},
    )


async def card(session: Session, options: argparse.Namespace) -> Answer:
    """Show one's own card."""
    made = await session.device.card(one_time=options.for_one)
    text = card_to_text(made)
    return Answer(text, {"name": made.name, "card": text, "for_one": options.for_one,
                         "expires": made.package.expiry})  # fmt: skip


async def add_contact(session: Session, options: argparse.Namespace) -> Answer:
    """Add a contact by its card."""
    found = card_from_text(_card_text(options.card))
    added = await session.contacts.add(options.name, found, replacing=options.replace)
    calls_itself = safe_name(found.name)
    other = "" if calls_itself == added.name else f" (calls itself {calls_itself})"
    return Answer(
        f"{added.name} is a contact{other}. Compare numbers before you trust that: "
        f"evanesce verify {added.name}",
        _contact_data(session, added),
    )


async def accept_contact(session: Session, options: argparse.Namespace) -> Answer:
    """Take the other card that was offered for a contact."""
    contact = await session.contacts.accept(options.name)
    return Answer(
        f"{contact.name} has the new card now, and is not verified: evanesce verify "
        f"{contact.name}\nIn groups, the old one stays a member until somebody removes it.",
        _contact_data(session, contact),
    )


async def refuse_contact(session: Session, options: argparse.Namespace) -> Answer:
    """Forget the other card that was offered for a contact."""
    contact = await session.contacts.refuse(options.name)
    return Answer(f"{contact.name} is who they were. The other card is forgotten.",
                  _contact_data(session, contact))  # fmt: skip


def _card_text(given: str | None) -> str:
    """A card from the argument: itself, or a file; or from standard input."""
    if given is not None and "[" in given:
        return given
    if given is not None and given != "-":
        with open(Path(given).expanduser(), encoding="utf-8", errors="replace") as file:
            return file.read(_CARD_SIZE)
    if not sys.stdin.isatty():
        return sys.stdin.read(_CARD_SIZE)
    print("Paste the card, down to its [END …] line:", file=sys.stderr)
    text = ""
    while not is_whole(text) and len(text) < _CARD_SIZE:
        line = sys.stdin.readline()
        if not line:
            break
        text += line
    return text


def _contact_data(session: Session, contact: Contact) -> dict[str, Any]:
    identity, offered = contact.card.identity, session.contacts.offered(contact)
    return {"name": contact.name, "calls_itself": contact.card.name, "verified": contact.verified,
            "fingerprint": identity.fingerprint.hex(),
            "offered": None if offered is None else offered.fingerprint.hex()}  # fmt: skip


async def list_contacts(session: Session, options: argparse.Namespace) -> Answer:
    """List the contacts."""
    contacts = session.contacts.all()
    lines = []
    for contact in contacts:
        mark = "✓ verified" if contact.verified else "· not verified"
        lines.append(f"{contact.name}  {mark}  (calls itself {safe_name(contact.card.name)})")
        if session.contacts.offered(contact) is not None:
            lines.append(f"    ! another card waits: evanesce contacts accept {contact.name}, or "
                         f"evanesce contacts refuse {contact.name}")  # fmt: skip
    text = "\n".join(lines) or "No contacts yet: evanesce contacts add NAME"
    return Answer(text, {"contacts": [_contact_data(session, each) for each in contacts]})


async def remove_contact(session: Session, options: argparse.Namespace) -> Answer:
    """Forget a contact."""
    contact = session.contacts.get(options.name)
    await session.contacts.remove(contact)
    return Answer(f"{contact.name} is no contact any more. Rooms that you share stay.",
                  {"removed": contact.name})  # fmt: skip


def number_lines(digits: str) -> list[str]:
    """A safety number, as it is read aloud."""
    groups = digits.split(" ")
    return ["    " + "  ".join(groups[n : n + 4]) for n in range(0, len(groups), 4)]


async def verify(session: Session, options: argparse.Namespace) -> Answer:
    """Show the number that both sides compare, or note that it was the same."""
    contact = session.contacts.get(options.name)
    if options.offered:
        digits = session.contacts.offered_digits(contact)
    else:
        digits = safety_number(session.device.identity, contact.card.identity)
    if options.confirm:
        contact = session.contacts.confirm(contact)
    data = {**_contact_data(session, contact), "digits": digits}
    lines = number_lines(digits)
    if options.confirm:
        return Answer(f"{contact.name} is verified, by this number:\n" + "\n".join(lines), data)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    code = qr_code(digits.replace(" ", ""), colour=colour)
    whose = contact.name if not options.offered else f"the other card offered for {contact.name}"
    verb = "contacts accept" if options.offered else "verify"
    flag = "" if options.offered else " --confirm"
    return Answer(
        "\n".join([
            f"Your number with {whose}. It must be the same on both devices:",
            "",
            *lines,
            "",
            HINT if code is None else code,
            "Compare it in person or by voice, not in a chat. If it is the same:",
            f"  evanesce {verb} {contact.name}{flag}",
        ]),
        data,
    )  # fmt: skip
