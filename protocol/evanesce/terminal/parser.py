"""The arguments of the messenger's commands."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .answer import Command, Online, run, with_session, write
from .burn_commands import burn, switch_receipts
from .chat import chat
from .completion import completion_script
from .duration import seconds
from .mail import net_of
from .message_commands import read, send
from .passphrase import COSTS
from .people_commands import (
    accept_contact,
    add_contact,
    card,
    init,
    list_contacts,
    refuse_contact,
    remove_contact,
    verify,
)
from .resync_commands import ask_resync, readmit
from .room_commands import (
    ROLES,
    add_member,
    change_role,
    leave,
    list_members,
    list_rooms,
    new_room,
    remove_member,
    set_title,
    state_size,
)

__all__ = ["add_terminal"]

Commands = argparse._SubParsersAction  # generic only for type checkers


def add_terminal(
    parser: argparse.ArgumentParser, commands: Commands[argparse.ArgumentParser]
) -> None:
    """Add all of them, and the options that may stand before or after them."""
    _shared(parser, None)
    parser.set_defaults(cost="moderate")
    _people(commands)
    _rooms(commands)
    _messages(commands)
    completion = commands.add_parser("completion", help="print a completion script for a shell")
    completion.add_argument("shell", choices=("bash", "zsh"))
    completion.set_defaults(run=lambda options: _complete(parser, options.shell))


def _complete(parser: argparse.ArgumentParser, shell: str) -> int:
    write(completion_script(parser, shell))
    return 0


def _shared(parser: argparse.ArgumentParser, default: Any) -> None:
    group = parser.add_argument_group("where and how (before or after the command)")
    add = group.add_argument
    add("--home", type=Path, metavar="DIR", default=default,
        help="this person's folder ($EVANESCE_HOME, or the platform's place for data)")  # fmt: skip
    add("--net", type=net_of, metavar="DIR|URL", default=default,
        help="the folder that all who chat share, or the https URL of a relay; init remembers it",
        )  # fmt: skip
    add("--passphrase-file", type=Path, metavar="FILE", default=default,
        help="read the passphrase from the first line of FILE, instead of "
        "$EVANESCE_PASSPHRASE or the terminal")  # fmt: skip
    add("--cost", choices=COSTS, default=argparse.SUPPRESS,
        help="the cost of each guess at a new home's passphrase (moderate); light is for tests",
        )  # fmt: skip


def _new(
    commands: Commands[argparse.ArgumentParser],
    name: str,
    command: Command,
    said: str,
    more: str = "",
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=said, description=f"{said[0].upper()}{said[1:]}. {more}".strip()
    )
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    _shared(parser, argparse.SUPPRESS)
    parser.set_defaults(run=lambda options: run(command, options))
    return parser


def _online(
    commands: Commands[argparse.ArgumentParser], name: str, command: Online, said: str,
    more: str = "",
) -> argparse.ArgumentParser:  # fmt: skip
    return _new(commands, name, with_session(command), said, more)


def _group(
    commands: Commands[argparse.ArgumentParser], name: str, said: str
) -> Commands[argparse.ArgumentParser]:
    return commands.add_parser(name, help=said).add_subparsers(
        dest=f"{name}_command", required=True
    )


def _people(commands: Commands[argparse.ArgumentParser]) -> None:
    new = _new(commands, "init", init, "make a home for one person on this machine",
               "The passphrase protects everything in it; it is asked for twice.")  # fmt: skip
    new.add_argument("--name", required=True, help="what you call yourself to others")

    own = _online(commands, "card", card, "print your card, to be given to others",
                  "Paste it into any messenger, or write it to a file.")  # fmt: skip
    own.add_argument("--for-one", action="store_true",
                     help="a card for one person only: it gives that room its full strength at "
                     "once")  # fmt: skip

    contacts = _group(commands, "contacts", "keep the cards of others")
    add = _online(contacts, "add", add_contact, "add a contact by its card")
    add.add_argument("name", metavar="NAME", help="what you call this person")
    add.add_argument("card", metavar="CARD", nargs="?",
                     help="a file with the card, or its text; else standard input")  # fmt: skip
    add.add_argument("--replace", action="store_true",
                     help="exchange the card of a contact for a newer one of theirs")  # fmt: skip
    _online(contacts, "list", list_contacts, "list the contacts")
    remove = _online(contacts, "remove", remove_contact, "forget a contact")
    remove.add_argument("name", metavar="NAME")
    accept = _online(contacts, "accept", accept_contact,
                     "take the other card that was offered for a contact")  # fmt: skip
    accept.add_argument("name", metavar="NAME")
    refuse = _online(contacts, "refuse", refuse_contact, "forget that other card")
    refuse.add_argument("name", metavar="NAME")

    check = _online(commands, "verify", verify,
                    "show the 60 digits that you and a contact compare")  # fmt: skip
    check.add_argument("name", metavar="NAME")
    which = check.add_mutually_exclusive_group()
    which.add_argument("--confirm", action="store_true", help="note that they were the same")
    which.add_argument("--offered", action="store_true",
                       help="the digits of the other card that waits for this contact")  # fmt: skip

    _online(commands, "export-state-size", state_size,
            "print how much the state of each room takes, and nothing of its content")  # fmt: skip


def _evaporation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--after-view", type=seconds, metavar="S",
                        help="time from viewing to evaporation: 10, 5m, 2h; 0: on closing",
                        )  # fmt: skip
    parser.add_argument("--lifetime", type=seconds, metavar="S",
                        help="time from sending to evaporation, viewed or not (72h)",
                        )  # fmt: skip


def _rooms(commands: Commands[argparse.ArgumentParser]) -> None:
    rooms = _group(commands, "room", "begin rooms, and say who is in them")
    new = _online(rooms, "new", new_room, "begin a room with contacts",
                  "With one contact it is a room of two, else a group. The evaporation given here "
                  "binds all in a group; in a room of two it is your own default.")  # fmt: skip
    new.add_argument("names", metavar="NAME", nargs="+")
    new.add_argument("--title", metavar="T", help="what you call the room; others do not see it")
    kind = new.add_mutually_exclusive_group()
    kind.add_argument("--direct", action="store_true", help="a room of two (with one NAME: it is)")
    kind.add_argument("--group", action="store_true", help="a group, even with one NAME")
    _evaporation(new)
    _online(rooms, "list", list_rooms, "list your rooms, with what is unread")

    def with_room(
        name: str, command: Online, said: str, more: str = ""
    ) -> argparse.ArgumentParser:
        parser = _online(rooms, name, command, said, more)
        parser.add_argument("room", metavar="ROOM", help="title, contact, number or start of id")
        return parser

    with_room("members", list_members, "list who is in a room")
    add = with_room("add", add_member, "admit a contact to a group")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--role", choices=ROLES, default="member")
    remove = with_room("remove", remove_member, "remove a member from a group")
    remove.add_argument("name", metavar="NAME")
    with_room("leave", leave, "ask the others to let you out of a group")
    role = with_room("role", change_role, "give a member of a group another role")
    role.add_argument("name", metavar="NAME")
    role.add_argument("role", choices=ROLES)
    with_room("resync", ask_resync, "ask the others to let you into a group anew",
              "For a home that was put back from an older copy, and where messages cannot be read "
              "any more for want of a change. One of the others has to say yes: evanesce room "
              "readmit. What was said until then stays unread. A room of two is begun anew "
              "instead: evanesce room new NAME.")  # fmt: skip
    anew = with_room("readmit", readmit, "let a member into a group anew that has asked for it",
                     "It shows the number that you and this member compare, and asks. Whoever has "
                     "stolen somebody's keys asks so, too: make sure who it is, over another "
                     "channel. Only a contact is let in, and one of you is enough: two who do it "
                     "at once split the room.")  # fmt: skip
    anew.add_argument("name", metavar="NAME", help="as room members shows it")
    anew.add_argument("--yes", action="store_true", help="do not ask: it is the one")
    receipts = with_room("receipts", switch_receipts,
                         "tell the others what you have viewed, and be told (off at first)",
                         )  # fmt: skip
    receipts.add_argument("switch", choices=("on", "off"))
    title = with_room("title", set_title, "call a room by a title of your own")
    title.add_argument("title", metavar="TITLE")


def _messages(commands: Commands[argparse.ArgumentParser]) -> None:
    room = "title, contact, number or start of id; with a contact, a room is begun if needed"
    out = _online(commands, "send", send, "send a message")
    out.add_argument("room", metavar="ROOM", help=room)
    out.add_argument("text", metavar="TEXT", nargs="*", help="without it: from standard input")
    out.add_argument("--quote", metavar="ID", help="the message it answers, as read shows its id")
    _evaporation(out)

    inward = _online(commands, "read", read, "take in what waits, and show what is unread",
                     "Messages evaporate by their own rules once they were shown; what a terminal "
                     "has printed stays in its history (chat leaves nothing there).")  # fmt: skip
    inward.add_argument("room", metavar="ROOM", nargs="?", help="only this one")
    inward.add_argument("--keep-unread", action="store_true", help="only count")
    inward.add_argument("--all", action="store_true",
                        help="also what was read or sent and has not evaporated")  # fmt: skip

    back = _online(commands, "burn", burn, "take back messages of your own",
                   "They are erased here and, as the others hear of it, on their devices, and "
                   "what was not fetched is taken back. Who has read them has read them.",
                   )  # fmt: skip
    back.add_argument("room", metavar="ROOM", help="title, contact, number or start of id")
    back.add_argument("messages", metavar="MESSAGE-ID", nargs="*",
                      help="as send and read --all show it; its beginning is enough")  # fmt: skip
    back.add_argument("--last", action="store_true", help="the last one you have sent")
    back.add_argument("--all", action="store_true", help="all that you have sent in this room")

    live = _online(commands, "chat", chat, "chat in a room, live",
                   "Lines you type are sent. /who, /verify, /burn, /quit.")  # fmt: skip
    live.add_argument("room", metavar="ROOM", help=room)
