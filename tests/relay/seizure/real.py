"""The relay of this project under attack: a world is played to it, its folders are seized.

What the attacker knows of it is its published format: how buckets are opened with the table key,
where the rows lie. What only the scorer knows are the addresses, unless a variant says otherwise.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
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
from .evidence import Evidence, Family, Opener, Unit, number_of, settle
from .pairs import Finder
from .sqlite_pages import Cell, Database, old_versions, read_database
from .world import World

_PREFIX = 20  # bytes of a slot before the data: the hour, the name of the place
_ENTRY = 29
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
    # Keys from the seed, so that the names of a run, and with them its figures, are the same each time.
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


# Rows


@dataclass(slots=True)
class StoredRow:
    """A row as it lies in its slot."""

    hour: int
    name: bytes
    data: bytes  # with the zeros that fill the slot
    length: int
    blank: bool
    table: str
    cell: Cell
    marks: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def unit(self) -> Unit:
        """What an attacker sees of it."""
        number = self.cell.values[0]
        assert isinstance(number, int)
        unit = Unit()
        unit.scalars = {
            "hour": self.hour, "length": self.length, "blank": self.blank,
            "name": number_of(self.name), "data": number_of(self.data),
            "class": float(self.table.removeprefix("slots")), "slot": number, "page": self.cell.page,
            "offset": self.cell.offset, "overflow": self.cell.chain[0] if self.cell.chain else 0,
        }  # fmt: skip
        unit.marks.update(self.marks)
        return unit


def stored_rows(base: Database) -> Iterator[StoredRow]:
    """The rows of a store in SQLite, with what the log says of their slots."""
    index = dict(_index(base))
    touched: dict[tuple[object, ...], StoredRow] = {}
    for cell in base.cells:
        value = cell.values[-1]
        if not cell.table.startswith("slots") or not isinstance(value, bytes):
            continue
        length, blank = index.get(value[:_PREFIX], (0, False))
        if not length:
            continue
        row = StoredRow(
            int.from_bytes(value[:4], "big"), value[4:_PREFIX],
            value[_PREFIX : _PREFIX + length], length, blank, cell.table, cell,
        )  # fmt: skip
        touched[base.name_of(cell)] = row
    for frame, cell in old_versions(base):
        found = touched.get(base.name_of(cell))
        if found is not None and cell.values == found.cell.values:
            found.marks["in frame"].append(frame.seq)
            found.marks["in commit"].append(frame.commit)
    yield from touched.values()


def _index(base: Database) -> Iterator[tuple[bytes, tuple[int, bool]]]:
    for cell in base.cells:
        data = cell.values[-1]
        if cell.table == "places" and isinstance(data, bytes):
            for n in range(int.from_bytes(data[:2], "big")):
                entry = data[2 + n * _ENTRY : 2 + (n + 1) * _ENTRY]
                yield entry[:_PREFIX], (int.from_bytes(entry[25:29], "big"), bool(entry[20] & 0x80))


def _rows_of(evidence: Evidence) -> list[StoredRow]:
    return [row for base in evidence.databases if "places" in base.tables for row in stored_rows(base)]


def read_linked_rows(evidence: Evidence) -> dict[str, Family]:
    """Rows that show by their name or their data which belong to one mailbox, if any do."""
    families: dict[str, Family] = {}
    rows = _rows_of(evidence)
    for what, part in (("name", lambda row: row.name), ("data", lambda row: row.data)):
        known = len(rows)
        for size in (32, 16, 8, 4):
            groups: dict[Hashable, list[StoredRow]] = defaultdict(list)
            for row in rows:
                groups[part(row)[:size]].append(row)
            # By chance hardly any two of them begin with the same four bytes.
            if rows and len(groups) < 0.98 * known:
                known = len(groups)
                families[f"rows by {what}:{size}"] = _family(groups)
    return families


def _family(groups: dict[Hashable, list[StoredRow]]) -> Family:
    family: Family = {}
    for name, rows in groups.items():
        unit = family.setdefault(name, Unit())
        for row in rows:
            one = row.unit()
            for trait, value in one.scalars.items():
                unit.marks[trait].append(value)
            for trait, marks in one.marks.items():
                unit.marks[trait].extend(marks)
    return settle(family)


# An attacker who knows the addresses


def knowing_addresses(played: Played, keys: Path | None) -> Reader:
    """With the keys he computes the places of each. Without, he looks for it and its plain hashes."""

    def read(evidence: Evidence) -> dict[str, Family]:
        rows = _rows_of(evidence)
        family: Family = {}
        if keys is None:
            # Nothing to compute places with: all that is left is to look for what an address,
            # or a hash of it without a key, would be.
            names = {row.name: row for row in rows} | {row.data[:16]: row for row in rows}
            groups: dict[Hashable, list[StoredRow]] = {
                box.address: [names[g] for g in _guesses(box.address) if g in names]
                for box in played.world.boxes
            }
            return {"addresses": _family(groups)} if any(groups.values()) else {}
        index = (keys / "index.key").read_bytes()
        known = {(row.hour, row.name): row for row in rows}
        groups = {box.address: places_of(index, box.address, known) for box in played.world.boxes}
        return {"addresses and keys": _family({a: found for a, found in groups.items() if found})}

    return read


def _guesses(address: bytes) -> list[bytes]:
    """What a careless relay might have made of an address without a key."""
    hashes = [hashlib.new(name, address).digest() for name in ("md5", "sha1", "sha256", "sha512")]
    hashes += [hashlib.blake2b(address, digest_size=n).digest() for n in (16, 32, 64)]
    return [address[:16], *(digest[:16] for digest in hashes)]


def places_of(
    index_key: bytes, address: bytes, known: dict[tuple[int, bytes], StoredRow]
) -> list[StoredRow]:
    """The rows of a mailbox, computed from the index key and its address (spec 22.6)."""
    box_key = KDF(index_key, b"relay box", address)
    found: list[StoredRow] = []
    for hour in sorted({hour for hour, _ in known}):
        number = 0
        while True:
            name = KDF(box_key, b"relay place", hour, number, size=16)
            row = known.get((hour, name))
            if row is None:
                break
            found.append(row)
            number += 1
    return found


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
