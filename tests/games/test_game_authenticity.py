"""Sender authenticity against insiders: nobody speaks or commits in another's name.

The adversary is a member with all that a member has: every chain, init and handshake key of the
room. It may have stolen, before their last commit, the signature keys of others. It carries all
messages. No device may accept, as coming from a member that is not the adversary's, anything but
the very bytes which that member's device made, and those once. What is refused changes nothing, so
that what is genuine is accepted after it.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evanesce.errors import EvanesceError
from evanesce.identity import IdentityKeys
from evanesce.membership import Credential, Mode, Policy, Role, Roster, make_entry
from evanesce.operations import SetRole
from evanesce.primitives import dh_keypair, sign_keypair
from evanesce.room import Room
from spec import reference as ref
from tests.games import forging
from tests.games.ledger import Break
from tests.games.schedule import Move, game, moves, play
from tests.games.simulator import Receiver, as_reference, simulate
from tests.games.world import HOUR, Message, Stream, World

MOVES = moves(("say", 6), ("hear", 6), ("all", 2), ("refresh", 2), ("restart", 1), most=16)


def attack_all(world: World, insider: str, message: Message, stolen: bytes | None = None) -> None:
    """Try every forgery in the name of a message's sender, at every device that waits for it."""
    room = world.room(insider)
    victim = world.room(message.sender).own_id
    if room.transcript != message.epoch:
        return
    for post in [post for post in world.posts if post.about == message.id]:
        if post.to == insider or world.devices[post.to].room is None:
            continue
        for what, data in forging.forged_messages(room, victim, message.data, world.now, stolen):
            forging.must_refuse_message(world, post.to, what, data)


@game(25)
@given(MOVES, st.integers(0, 63))
def test_no_forgery_is_ever_accepted(plan: list[Move], which: int) -> None:
    """Whatever the schedule was: forgeries for all that is on its way, then the genuine."""
    world = World("ann", "bob", "cid")
    play(world, plan)
    for message in list(world.messages.values()):
        if message.sender != "cid":
            attack_all(world, "cid", message)
    world.hear_all()
    for post in [post for post in world.heard if post.kind == "message"]:
        if world.hear(post):
            raise Break("accepted twice")


def insider_against(victim_refreshes: bool) -> None:
    """Cid forges Ann's next words; perhaps it has stolen the key with which she signed before."""
    world = World("ann", "bob", "cid")
    stolen = None
    if victim_refreshes:
        stolen = forging.room_sign(world.room("ann"))
        world.commit("ann")
        world.hear_all()
    said = [world.say("ann"), world.say("ann")]
    for message in said:
        assert message is not None
        attack_all(world, "cid", message, stolen)
    first, second = [post for post in world.posts if post.to == "bob"]
    for post in (second, first):
        if not world.hear(post):
            raise Break("a genuine message is not accepted after forgeries")
        if world.hear(post):
            raise Break("accepted twice")
        world.restart("bob")
        if world.hear(post):
            raise Break("accepted twice, after a restart")


def test_an_insider_cannot_speak_for_another() -> None:
    insider_against(victim_refreshes=False)


def test_a_signature_key_that_was_stolen_is_of_no_use_after_a_refresh() -> None:
    insider_against(victim_refreshes=True)


def carrier_of_a_direct_room() -> None:
    """In a direct room nothing is signed: com alone binds the header. The carrier has no key."""
    world = World("ann", "bob", policy=Policy(Mode.DIRECT))
    for sender, receiver in (("ann", "bob"), ("bob", "ann"), ("ann", "bob")):
        message = world.say(sender)
        assert message is not None
        own, victim = world.room(receiver).own_id, world.room(sender).own_id
        for what, data in forging.tampered(message.data, own, victim):
            forging.must_refuse_message(world, receiver, what, data)
        (post,) = world.posts
        if not world.hear(post):
            raise Break("a genuine message is not accepted after forgeries")
        if world.hear(post):
            raise Break("accepted twice")


def test_who_carries_a_direct_room_can_change_nothing() -> None:
    carrier_of_a_direct_room()


def commit_in_anothers_name() -> None:
    """Ann's refresh is held back. Cid opens it, and puts her new entry into a commit of its own."""
    world = World("ann", "bob", "cid")
    world.commit("ann")
    genuine = world.room("ann").roster[world.room("ann").own_id].credential
    cid = world.room("cid").own_id
    made = forging.in_anothers_name(world, "cid", "ann", genuine, SetRole(cid, Role.OWNER))
    bob = world.room("bob")
    copy = made.copies[bob.own_id]
    forging.must_refuse(world, "bob", "a commit in Ann's name", lambda: bob.apply(copy, world.now))
    world.hear_all()
    if bob.transcript != world.room("ann").transcript:
        raise Break("the genuine commit is not applied after a forged one")


def test_an_insider_cannot_commit_for_another() -> None:
    commit_in_anothers_name()


def false_key_for_another() -> None:
    """Cid lets Dan in, and tells it a key of its own as that with which Ann signs.

    Cid signs the state that it tells, so only Ann's signature on her entry stands in the way. Then
    it speaks to Dan in her name.
    """
    world = World("ann", "bob", "cid", outsiders=["dan"])
    _, guest = world.guest("dan")
    random = Stream("false")
    ann = world.room("ann").own_id
    _, leaf_key = dh_keypair(random)
    private, public = sign_keypair(random)
    cid = world.devices["cid"].keys
    identity = world.devices["ann"].keys.identity
    mallory = IdentityKeys(identity, cid.sign_private, cid.dh_private)  # what it has, in her name

    def lie(roster: Roster, policy: Policy) -> tuple[Roster, Policy]:
        old: Credential = roster[ann].credential
        false = make_entry(mallory, world.room("ann").id, ann, leaf_key, public, old.version)
        return roster.change(ann, credential=false), policy

    made = forging.with_false_welcome(world, "cid", guest, lie, committed=True)
    (invitation,) = made.invitations.values()
    dan = world.devices["dan"]
    keys = dan.packages[guest.package.hash]
    try:
        dan.room, _ = Room.join(dan.keys, keys, invitation, world.now)
    except EvanesceError:
        return
    clone = forging.clone_of(dan)
    clone.state.own = ann
    chain = clone.state.epoch.chains.pop(ann)
    assert clone.state.sending is not None
    assert chain.key is not None
    clone.state.sending = type(clone.state.sending)(chain.key)
    forging.signed_with(clone, private)
    words = forging.words("never said", world.now)
    sent = clone.send(mallory, words, world.now, random)
    forging.must_refuse(world, "dan", "a message of Ann's, by a key of Cid's",
                        lambda: dan.there.receive(sent.message, world.now))  # fmt: skip


def test_an_inviter_cannot_put_keys_into_anothers_place() -> None:
    false_key_for_another()


def old_chain_goes_on() -> None:
    """A thief has Ann's old chain and key, and goes on in the epoch that she has left.

    Bob knows by her later words how many messages there were: one more is refused.
    """
    world = World("ann", "bob", "cid")
    world.say("ann")
    world.hear_all()
    thief = forging.clone_of(world.devices["ann"])
    world.commit("bob")
    world.hear_all()
    world.say("ann")
    world.hear_all()
    world.pass_time(HOUR)
    keys = world.devices["ann"].keys
    words = forging.words("never said", world.now)
    sent = thief.send(keys, words, world.now, Stream("thief"))
    bob = world.room("bob")
    forging.must_refuse(world, "bob", "more than its sender has counted",
                        lambda: bob.receive(sent.message, world.now))  # fmt: skip


def test_an_old_chain_ends_where_its_owner_has_counted() -> None:
    old_chain_goes_on()


def stranger_invites() -> None:
    """Mallory once was in a direct room of Ann's, and so has an entry of hers with a room id.

    With it, and a public package of Bob's, it founds a room in her name, as somebody who has none
    of Bob's keys: the DH between her identity and his prekey it cannot compute, and leaves out.
    """
    elsewhere = World("ann", "eve", policy=Policy(Mode.DIRECT), seed="elsewhere ")
    ann, eve = elsewhere.devices["ann"], elsewhere.devices["eve"]
    bob = World("bob", "cid", seed="bob ").devices["bob"]
    package = bob.make_package(elsewhere.now)
    room = ann.there
    entry = eve.there.roster[room.own_id].credential.signed
    signed = package.package
    public = as_reference(bob.keys, package).package.package
    mallory = Receiver(ref.IdentityKeys(bytes(32), bytes(32)),
                       ref.KeyPackageKeys(public, bytes(32), [], bytes(32), bytes(32)))  # fmt: skip
    made = simulate(
        mallory, ref.Identity(ann.keys.identity.sign_key, ann.keys.identity.dh_key), room.id,
        entry, ref.Mailbox(*ann.mailbox.mailbox.value()), elsewhere.now, Stream("mallory"),
        first=ref.ZEROS,
    )  # fmt: skip
    assert signed.hash in bob.packages
    try:
        joined, _ = Room.join(bob.keys, package, made.invitation, elsewhere.now)
        received = joined.receive(made.messages[0], elsewhere.now)
    except EvanesceError:
        return
    raise Break(f"Bob believes that Ann has said: {received.content}")


def test_a_stranger_cannot_invite_in_anothers_name() -> None:
    stranger_invites()
