"""The keys of hours: made once, by one of all, and gone for good when their hour begins."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from evanesce.errors import LocalError, Reason
from evanesce.relay.keys import KeyGone, RelayKeys

HOUR = 500_072


def every_byte(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_keys_are_the_same_when_opened_again(folder: Path) -> None:
    first = RelayKeys.open(folder)
    again = RelayKeys.open(folder, make=False)
    assert (first.index, first.table) == (again.index, again.table)
    assert first.index != first.table
    assert first.hour_key(HOUR) == first.hour_key(HOUR) == again.existing(HOUR)
    assert first.hour_key(HOUR) != first.hour_key(HOUR + 1)
    assert first.disclosure_seed() == again.disclosure_seed()
    assert len({first.index, first.table, first.hour_key(HOUR)}) == 3


def test_only_the_owner_can_read_them(folder: Path) -> None:
    keys = RelayKeys.open(folder)
    keys.hour_key(HOUR)
    keys.destroy(5)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_without_make_nothing_is_made(folder: Path) -> None:
    with pytest.raises(LocalError) as caught:
        RelayKeys.open(folder, make=False)
    assert caught.value.reason is Reason.BAD_STORE
    assert not folder.exists()
    RelayKeys.open(folder)
    before = sorted(folder.iterdir())
    assert RelayKeys.open(folder, make=False).existing(HOUR) is None
    assert sorted(folder.iterdir()) == before


def test_a_destroyed_key_is_nowhere_and_is_not_made_again(folder: Path) -> None:
    keys = RelayKeys.open(folder)
    gone, left = keys.hour_key(HOUR), keys.hour_key(HOUR + 1)
    assert keys.destroy(HOUR) == 1
    assert gone not in every_byte(folder)
    for same in (keys, RelayKeys.open(folder), RelayKeys.open(folder, make=False)):
        assert same.last_hour == HOUR
        for ask in (same.hour_key, same.existing):
            for hour in (HOUR, HOUR - 1, 1):
                with pytest.raises(KeyGone) as caught:
                    ask(hour)
                assert caught.value.reason is Reason.EVAPORATED
        assert same.existing(HOUR + 1) == left


def test_what_is_overwritten_is_the_file_itself(folder: Path) -> None:
    keys = RelayKeys.open(folder)
    gone = keys.hour_key(HOUR)
    second_name = folder.parent / "held"
    os.link(folder / f"hour-{HOUR}.key", second_name)  # the same bytes on the disk
    keys.destroy(HOUR)
    assert gone not in second_name.read_bytes()
    assert len(second_name.read_bytes()) == 32


def test_what_one_process_destroyed_no_other_makes_again(folder: Path) -> None:
    one, other = RelayKeys.open(folder), RelayKeys.open(folder)
    other.destroy(HOUR)
    with pytest.raises(KeyGone):
        one.hour_key(HOUR)
    assert one.destroy(HOUR - 5) == 0
    assert RelayKeys.open(folder).last_hour == HOUR


def test_that_an_hour_was_seen_is_durable_before_its_key_goes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = RelayKeys.open(folder)
    keys.hour_key(HOUR)

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("evanesce.relay.keys._overwrite", killed)
    with pytest.raises(KeyboardInterrupt):
        keys.destroy(HOUR)
    monkeypatch.undo()
    after = RelayKeys.open(folder)
    assert after.last_hour == HOUR
    assert after.destroy(HOUR) == 1  # and what was left undone is done


def test_what_a_killed_maker_left_is_removed_without_harm(folder: Path) -> None:
    keys = RelayKeys.open(folder)
    key = keys.hour_key(HOUR)
    os.link(folder / f"hour-{HOUR}.key", folder / "new-linked.key")  # killed after the link
    (folder / "new-alone.key").write_bytes(b"7" * 32)  # killed before it
    again = RelayKeys.open(folder)
    assert again.hour_key(HOUR) == key
    assert not list(folder.glob("new-*"))


def test_a_clock_that_was_wrong_can_be_set_back(folder: Path) -> None:
    keys = RelayKeys.open(folder)
    old = keys.hour_key(HOUR)
    keys.destroy(HOUR + 1_000)
    keys.set_back(HOUR - 10)
    assert keys.hour_key(HOUR) != old
    assert RelayKeys.open(folder).last_hour == HOUR - 10
    assert keys.destroy(HOUR) == 1


def test_damaged_files_are_refused(folder: Path) -> None:
    keys = RelayKeys.open(folder)
    (folder / f"hour-{HOUR}.key").write_bytes(b"short")
    for ask in (keys.hour_key, keys.existing):
        with pytest.raises(LocalError) as caught:
            ask(HOUR)
        assert caught.value.reason is Reason.BAD_STORE
    (folder / "clock").write_text("soon")
    with pytest.raises(LocalError):
        RelayKeys.open(folder)


def test_a_folder_that_cannot_be_written_is_told(folder: Path) -> None:
    keys = RelayKeys.open(folder)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(LocalError) as caught:
        keys.hour_key(HOUR)
    assert caught.value.reason is Reason.BAD_STORE


def test_no_key_is_shown(folder: Path) -> None:
    keys = RelayKeys.open(folder)
    shown = repr(keys) + repr(vars(keys))
    for secret in (keys.index, keys.table, keys.hour_key(HOUR), keys.disclosure_seed().reveal()):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown


MAKER = """
import sys
from pathlib import Path
from evanesce.relay.keys import RelayKeys
print("ready", flush=True)
sys.stdin.readline()
keys = RelayKeys.open(Path(sys.argv[1]))
told = [keys.index, keys.table, *(keys.hour_key(hour) for hour in range(1000, 1020))]
print(b"".join(told).hex())
"""


def test_processes_that_make_keys_at_once_have_the_same(folder: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", MAKER, str(folder)], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
        for _ in range(3)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = {process.communicate(timeout=60)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(told) == 1
    assert len(told.pop().strip()) == 22 * 64
    assert not list(folder.glob("new-*"))
