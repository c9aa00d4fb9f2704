"""What a server can try that knows every id, address and capability, and has kept everything."""

from __future__ import annotations

import pytest

from evanesce import Card, Conversation, MessageArrived, Mode, Policy, Reason, Rejected, RoomChanged
from evanesce.content import Burn, Content, Evaporation, Said, Viewed
from evanesce.epoch import seal_commit
from evanesce.formats import COMMIT_COPY, MESSAGE
from evanesce.founding import Invited
from evanesce.identity import IdentityKeys
from evanesce.keypackage import KeyPackageKeys
from evanesce.limits import HOUR
from evanesce.mailbox import MailboxKeys
from evanesce.membership import Role
from evanesce.message import ParsedMessage, seal_message
from evanesce.primitives import sign_keypair
from evanesce.receipts import LONGEST
from evanesce.repair import RepairRequest
from evanesce.resync import ResyncRequest
from evanesce.room import Room
from tests.device.device_support import Actor, Stream, World, message_in, of_kind
from tests.device.test_receipts import claim, turn_on


@pytest.fixture
async def mina(world: World) -> Actor:
    return await world.open("Mina")


@pytest.fixture
async def junho(world: World) -> Actor:
    return await world.open("Junho")


@pytest.fixture
async def sora(world: World) -> Actor:
    return await world.open("Sora")


class Server:
    """It knows of a room all that is no key: ids, names, roster, policy, transcript, addresses."""

    def __init__(self, world: World, room: Conversation, member: Actor) -> None:
        self.world = world
        self.random = Stream("the server")
        self.keys = IdentityKeys.generate(self.random)
        self.mailbox = MailboxKeys.generate(self.random)
        self.room = room.id
        self.package = KeyPackageKeys.generate(
            self.keys, self.mailbox.mailbox, world.clock.now(), self.random
        ).package
        state = member.device.room(room.id).state
        self.prefix, self.context, self.transcript = (
            state.current, state.epoch.context, state.epoch.transcript,
        )  # fmt: skip
        messages = [found for _, payload in member.payloads() if (found := message_in(payload))]
        self.header = ParsedMessage.parse(messages[-1]).header

    def message(self, sender: bytes) -> bytes:
        """Words of its own, sealed with a key of its own."""
        header = self.header._replace(sender=sender, number=self.header.number + 1)
        said = Said("I am one of you", self.world.clock.now(), Evaporation()).encode()
        return seal_message(header, self.context, self.random(32), said, self.random(16),
                            sign_keypair(self.random)[0]).message  # fmt: skip

    def commit(self, committer: bytes) -> bytes:
        """A commit, sealed with a key of its own: what is in it is never looked at."""
        sealed = seal_commit(self.random(32), self.room, self.prefix, committer,
                             self.package.signed, self.random)  # fmt: skip
        return COMMIT_COPY.build(sealed, self.random(48))

    def requests(self, member: bytes) -> list[bytes]:
        """To be sent again what that member may have, and to be let in as it."""
        now = self.world.clock.now()
        return [
            RepairRequest.make(self.keys, self.room, member, self.transcript[:8], now).signed,
            ResyncRequest.make(self.keys, self.room, member, now, self.package).signed,
        ]

    def invitation(self, card: Card) -> bytes:
        """To a room of its own that has the same id."""
        first = [self.room]

        def random(size: int) -> bytes:
            return first.pop() if first else self.random(size)

        made, invitations = Room.found(
            self.keys, Policy(Mode.SIGNED), [Invited(card.package, 0, Role.MEMBER)], "the server",
            self.mailbox.mailbox, self.world.clock.now(), random,
        )  # fmt: skip
        assert made.id == self.room
        (invitation,) = invitations.values()
        return invitation


def refusals(actor: Actor) -> list[Reason]:
    return [event.reason for event in actor.told(Rejected)]


@pytest.mark.parametrize("claimed", ["nobody's id", "the owner's id"])
async def test_who_knows_all_ids_and_addresses_can_do_nothing_in_a_room(
    world: World, mina: Actor, junho: Actor, sora: Actor, claimed: str
) -> None:
    """An id is no credential, and nobody is added by whoever carries the mail."""
    room = await world.group(mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)
    server = Server(world, room, junho)
    stranger = claimed == "nobody's id"
    name = server.random(32) if stranger else mina.device.room(room.id).own_id
    digest, told = junho.device.room(room.id).digest(), len(junho.told(RoomChanged))
    expected = (
        [Reason.UNKNOWN_MEMBER, Reason.UNKNOWN_MEMBER, Reason.UNKNOWN_MEMBER,
         Reason.UNKNOWN_MEMBER]
        if stranger else
        [Reason.BAD_SIGNATURE, Reason.BAD_CIPHERTEXT, Reason.BAD_SIGNATURE, Reason.WRONG_IDENTITY]
    )  # fmt: skip
    tries = [server.message(name), server.commit(name), *server.requests(name)]
    for payload, reason in zip(tries, expected, strict=True):
        await world.put_payload(junho.mailbox(room), payload)
        await world.settle()
        assert refusals(junho)[-1] is reason
    assert len(refusals(junho)) == len(tries)
    invitation = server.invitation(await junho.device.card(one_time=True))
    await world.put_payload(junho.mailbox(None), invitation)
    await world.settle()
    assert junho.device.room(room.id).digest() == digest, "something of it has had an effect"
    assert len(junho.told(RoomChanged)) == told
    assert await junho.heard() == []
    await mina.room(room).refresh()
    await world.settle()
    world.check_agreement(room, mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)


@pytest.mark.parametrize("when", ["at once", "after a restart", "when the epochs are erased"])
async def test_nothing_that_comes_again_undoes_a_removal(
    world: World, mina: Actor, junho: Actor, sora: Actor, when: str
) -> None:
    """All that was ever sent comes again, under new envelopes, the commit that added Sora too."""
    room = await world.group(mina, junho)
    await room.add(await sora.device.card())
    await world.settle()
    await world.check_talk(room, mina, junho, sora)
    await room.refresh()
    await world.settle()
    await room.remove(mina.person(room, sora))
    await world.settle()
    await world.check_talk(room, mina, junho)
    kept = [payload for _, payload in junho.payloads()]
    assert len(of_kind([(b"", payload) for payload in kept], COMMIT_COPY.type)) == 3
    if when == "after a restart":
        await junho.restart()
    if when == "when the epochs are erased":
        await world.advance(73 * HOUR)
        await world.check_talk(room, mina, junho)
    view = (junho.room(room).epoch, junho.room(room).transcript)
    changes, heard = len(junho.told(RoomChanged)), len(junho.told(MessageArrived))
    for payload in kept:
        for where in (room, None):
            await world.put_payload(junho.mailbox(where), payload)
            await world.settle()
    assert (junho.room(room).epoch, junho.room(room).transcript) == view
    assert len(junho.told(RoomChanged)) == changes
    assert len(junho.told(MessageArrived)) == heard, "something was read twice"
    world.check_agreement(room, mina, junho)
    await world.check_talk(room, mina, junho)
    assert await sora.heard() == []


async def test_what_nobody_sees_is_answered_by_nothing(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """Whoever wants to know whether a device is running learns nothing by writing to it."""
    room = await world.group(mina, junho, sora)
    await world.check_talk(room, mina, junho, sora)
    await room.send("this arrives, and nobody looks at it")
    await world.settle()
    server = Server(world, room, junho)
    before = len(world.relay.seen)
    contents: list[Content] = [Viewed((bytes(16),)), Burn((bytes(16),))]
    for content in contents:  # by a member: receipts for, and burns of, what does not exist
        await claim(mina, room, content)
    genuine = [seen.envelope for seen in world.relay.seen
               if seen.address == junho.mailbox(room).address]  # fmt: skip
    owner = mina.device.room(room.id).own_id
    tries = [server.message(owner), server.message(bytes(32)), server.commit(owner),
             *server.requests(owner), *server.requests(bytes(32))]  # fmt: skip
    for payload in tries:
        await world.put_payload(junho.mailbox(room), payload)
        await world.put_payload(junho.mailbox(None), payload)
    for envelope in (*genuine, b"", b"no envelope", bytes(512)):
        await world.put(junho.mailbox(room), envelope)
    await world.settle()
    put = 2 * len(contents) + 2 * len(tries) + len(genuine) + 3
    assert len(refusals(junho)) >= 2 * len(tries), "it has looked at them"
    for _ in range(60):
        await world.advance(60)
    assert len(world.relay.seen) == before + put, "a device has said something of its own accord"


async def test_a_receipt_looks_like_a_short_message_and_each_room_has_an_address_of_its_own(
    world: World, mina: Actor, junho: Actor, sora: Actor
) -> None:
    """So receipts neither stand out, nor tie the rooms of one device together."""
    one, other = await world.group(mina, junho), await world.group(sora, junho)
    await turn_on(one, mina, junho)
    await junho.room(one).send("ok")
    await world.settle()
    short = world.relay.seen[-1].envelope
    await one.send("seen?")
    assert await junho.heard() == ["seen?"]
    before = len(world.relay.seen)
    await world.advance(LONGEST)
    (receipt,) = world.relay.seen[before:]
    assert receipt.address == mina.mailbox(one).address
    assert len(receipt.envelope) == len(short)
    payload = mina.payloads()[-1]
    assert payload[0] == receipt.envelope
    assert of_kind([payload], MESSAGE.type) == [payload]
    addresses = [junho.mailbox(where).address for where in (one, other, None)]
    assert len(set(addresses)) == len(addresses)
    for writer, address in ((mina, addresses[0]), (sora, addresses[1])):
        start = len(world.relay.seen)
        await writer.room(one if writer is mina else other).send("to one of them")
        await world.settle()
        assert {seen.address for seen in world.relay.seen[start:]} == {address}
