"""The relay of this project under attack: a world is played to it, its folders are seized.

What the attacker knows of it is its published format: how buckets are opened with the table key,
where the rows lie. What only the scorer knows are the addresses, unless a variant says otherwise.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evanesce.errors import RemoteError
from evanesce.primitives import KDF
from evanesce.relay.clock import ManualRelayClock
from evanesce.relay.keys import RelayKeys
from evanesce.relay.relay import Relay
from evanesce.relay.rows import Place, RelayStore
from evanesce.relay.sealing import Kind, open_bucket, open_entry
from evanesce.relay.settings import RelaySettings
from evanesce.relay.sqlite_rows import SqliteRows
from evanesce.wire import decode

from .attack import Case, Reader
from .driving import Driver
from .evidence import Evidence, Family, Opener, number_of
from .happenings import World
from .pairs import Finder
from .sqlite_pages import read_database
from .stored import StoredRow, family_of, places_of, read_linked_rows, rows_of, stored_rows

BUCKETED = 4_096  # mailboxes that the table is made for: 128 buckets, a few records in each


@dataclass(slots=True)
class Played:
    """A world that was played: the seized folders, each with `data` and `keys`, and the truth."""

    world: World
    seized: list[Path]
    index_key: bytes
    driver: Driver
    settings: RelaySettings

    def tag(self, address: bytes) -> bytes:
        return KDF(self.index_key, b"relay mailbox", address, size=16)


MakeStore = Callable[[Path, Callable[[], int]], RelayStore]
"""Makes a store in a folder; it is given the relay's clock, which no store needs."""


def _sqlite(folder: Path, now: Callable[[], int]) -> RelayStore:
    return SqliteRows(folder)



async def _play(
    world: World, folder: Path, seed: int, make_store: MakeStore, settings: RelaySettings
) -> Played:
    shutil.rmtree(folder, ignore_errors=True)
    keys_folder, data = folder / "live-keys", folder / "live"
    keys_folder.mkdir(parents=True)
    data.mkdir()
    # Keys from the seed, so that names, and with them the figures, are the same in every run.
    for name in ("index", "table"):
        key = hashlib.blake2b(b"%d %s" % (seed, name.encode()), digest_size=32).digest()
        (keys_folder / f"{name}.key").write_bytes(key)
    clock = ManualRelayClock(world.events[0][0])
    keys = RelayKeys.open(keys_folder)
    relay = Relay(make_store(data, clock.now), keys, clock, settings)
    await relay.start()

    def set_time(second: int) -> None:
        clock.advance(second - clock.now())

    def copy_keys(where: Path) -> None:
        shutil.copytree(keys_folder, where / "keys", copy_function=shutil.copy2)

    driver = Driver(world, relay, set_time, data, seed)
    seized = await driver.run(folder / "seized", copy_keys)
    await relay.stop()
    return Played(world, seized, keys.index, driver, settings)


def play(
    world: World,
    folder: Path,
    seed: int,
    *,
    make_store: MakeStore = _sqlite,
    settings: RelaySettings | None = None,
) -> Played:
    """Play a world to a relay over SQLite in this folder, seizing at the moments of the world."""
    settings = settings or RelaySettings(mailboxes=BUCKETED)
    return asyncio.run(_play(world, folder, seed, make_store, settings))


def opener_of(keys: Path, skip: int) -> Opener:
    """Open buckets with the seized keys, as the relay does; the store puts `skip` bytes before."""
    table = (keys / "table.key").read_bytes()

    def opener(number: int, data: bytes) -> Sequence[tuple[bytes, dict[str, float]]]:
        if number == 0:
            return ()
        try:
            records = decode(open_bucket(table, number, data[skip:]), limit=1 << 16)
        except RemoteError:  # one that was never written
            return ()
        return [(tag, _said(tag, hashed, lease)) for tag, hashed, lease in records]

    return opener


def _said(tag: bytes, hashed: bytes, lease: int) -> dict[str, float]:
    """What a record says: its lease, too, read as days between which its owner made it last."""
    turn = int.from_bytes(tag[8:12], "big") % 91  # the day of the quarter that is its own
    return {
        "lease": lease, "turn": turn, "made after day": lease * 91 - turn,
        "capability hash": number_of(hashed),
    }  # fmt: skip


def cases(
    played: Played,
    *,
    keys: bool = False,
    addresses: bool = False,
    table: str = "buckets",
    skip: int = 8,
    names: Callable[[bytes], Sequence[Hashable]] = lambda address: (),
) -> list[Case]:
    """The seizures: without the keys, with them, with all addresses known to the attacker.

    `table` is where the buckets are, `skip` what stands before each; `names` are names under which
    the scorer could meet a mailbox besides those that the specification gives it.
    """
    settled: list[Case] = []
    for where in played.seized:
        opener = opener_of(where / "keys", skip) if keys else None
        readers: list[Reader] = [read_linked_rows]
        if addresses:
            readers.append(knowing_addresses(played, where / "keys" if keys else None))
        finder = _finder(played, table, names)
        settled.append(
            Case(played.world, where / "data", finder, (table,), opener, _all(readers))
        )
    return settled


def _all(readers: Sequence[Reader]) -> Reader:
    def read(evidence: Evidence) -> dict[str, Family]:
        families: dict[str, Family] = {}
        for reader in readers:
            families.update(reader(evidence))
        return families

    return read


def _finder(
    played: Played, table: str, names: Callable[[bytes], Sequence[Hashable]]
) -> Finder:
    """Every name under which a mailbox could be met: its tag, its bucket, its address; prefixes."""
    count = -(-played.settings.mailboxes // 32)
    known: dict[int, tuple[Hashable, ...]] = {}
    for box in played.world.boxes:
        tag = played.tag(box.address)
        bucket = 1 + int.from_bytes(tag[:8], "big") % count
        prefixes = [name[:n] for name in (tag, box.address) for n in (4, 8, 16, 32)]
        known[box.number] = (*names(box.address), *prefixes, (table, bucket))
    return known.__getitem__


# An attacker who knows the addresses


def knowing_addresses(played: Played, keys: Path | None) -> Reader:
    """With the keys he computes the places of each; without, he looks for it and its hashes."""

    def read(evidence: Evidence) -> dict[str, Family]:
        rows = rows_of(evidence)
        if keys is None:
            # Nothing to compute places with: all that is left is to look for what an address,
            # or a hash of it without a key, would be.
            names = {row.name: row for row in rows} | {row.data[:16]: row for row in rows}
            groups: dict[Hashable, list[StoredRow]] = {
                box.address: [names[g] for g in _guesses(box.address) if g in names]
                for box in played.world.boxes
            }
            return {"addresses": family_of(groups)} if any(groups.values()) else {}
        index = (keys / "index.key").read_bytes()
        known = {(row.hour, row.name): row for row in rows}
        groups = {box.address: places_of(index, box.address, known) for box in played.world.boxes}
        return {"addresses and keys": family_of({a: found for a, found in groups.items() if found})}

    return read


def _guesses(address: bytes) -> list[bytes]:
    """What a careless relay might have made of an address without a key."""
    hashes = [hashlib.new(name, address).digest() for name in ("md5", "sha1", "sha256", "sha512")]
    hashes += [hashlib.blake2b(address, digest_size=n).digest() for n in (16, 32, 64)]
    return [address[:16], *(digest[:16] for digest in hashes)]


def copies(
    played: Played, where: Path, *, skip: int = 0
) -> tuple[Family, dict[int, Hashable]]:
    """Each waiting envelope as a candidate of its own, and of which message it is a copy.

    How the rows are opened is the scorer's affair. `skip`: what a mutant puts before the data.
    """
    truth = {id_: message for message, _, _, id_, _ in played.driver.copies}
    family: Family = {}
    groups: dict[int, Hashable] = {}
    for path in sorted((where / "data").glob("rows.db")):
        known = {(row.hour, row.name): row for row in stored_rows(read_database(path))}
        for box in played.world.boxes:
            for row in places_of(played.index_key, box.address, known):
                key = where / "keys" / f"hour-{row.hour}.key"
                if row.blank or not key.exists():
                    continue
                box_key = KDF(played.index_key, b"relay box", box.address)
                row_key = KDF(key.read_bytes(), b"relay row", box_key)
                entry = open_entry(row_key, Place(row.hour, row.name), row.data[skip:])
                if entry.kind is Kind.ENVELOPE:
                    number = len(family)
                    family[number] = row.unit()
                    groups[number] = truth[entry.id]
    return family, groups
