"""The keys of hours: made once, by one of all, and gone for good when their hour begins."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import time
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


def test_a_full_disk_does_not_keep_an_hour_from_being_noted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = RelayKeys.open(folder)
    gone = keys.hour_key(HOUR)
    monkeypatch.setattr("evanesce.relay.keys._write", full)
    for hour in range(HOUR - 3, HOUR + 1):
        keys.destroy(hour)
        assert RelayKeys.open(folder, make=False).last_hour == hour
    assert gone not in every_byte(folder)


def full(path: Path, data: bytes) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_keys_are_destroyed_even_if_the_hour_cannot_be_noted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = RelayKeys.open(folder)
    gone = [keys.hour_key(hour) for hour in (HOUR - 1, HOUR)]
    monkeypatch.setattr(os, "pwrite", lambda *_: full(folder, b""))
    with pytest.raises(LocalError) as caught:
        keys.destroy(HOUR)
    assert caught.value.reason is Reason.BAD_STORE
    assert not any(key in every_byte(folder) for key in gone)
    with pytest.raises(KeyGone):
        keys.hour_key(HOUR)
    monkeypatch.undo()
    assert keys.destroy(HOUR) == 0
    assert RelayKeys.open(folder).last_hour == HOUR


def test_one_file_that_cannot_be_overwritten_does_not_save_the_others(folder: Path) -> None:
    keys = RelayKeys.open(folder)
    gone = [keys.hour_key(hour) for hour in (HOUR - 1, HOUR)]
    (folder / f"hour-{HOUR - 2}.key").mkdir()
    with pytest.raises(LocalError):
        keys.destroy(HOUR)
    assert not any(key in every_byte(folder) for key in gone)


@pytest.mark.parametrize("slot", [0, 1])
def test_a_clock_that_was_written_half_has_the_hour_before(folder: Path, slot: int) -> None:
    keys = RelayKeys.open(folder)
    keys.destroy(HOUR)
    keys.destroy(HOUR + 1)
    with (folder / "clock").open("r+b") as file:
        file.seek(slot * 4_096 + 12)
        file.write(b"half")
    assert RelayKeys.open(folder).last_hour in (HOUR, HOUR + 1)
    with (folder / "clock").open("r+b") as file:
        file.seek((1 - slot) * 4_096 + 12)
        file.write(b"half")
    with pytest.raises(LocalError) as caught:
        RelayKeys.open(folder)
    assert caught.value.reason is Reason.BAD_STORE


def test_a_clock_of_the_old_form_is_read(folder: Path) -> None:
    RelayKeys.open(folder)
    (folder / "clock").write_text(f"{HOUR}\n")
    assert RelayKeys.open(folder, make=False).last_hour == HOUR
    assert RelayKeys.open(folder).last_hour == HOUR
    assert (folder / "clock").stat().st_size == 8_192
    assert RelayKeys.open(folder, make=False).last_hour == HOUR


def test_whoever_keeps_the_lock_holds_nobody_up_for_long(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = RelayKeys.open(folder)
    gone = keys.hour_key(HOUR)
    monkeypatch.setattr("evanesce.relay.keys._LOCK_SECONDS", 0.2)
    with (folder / "lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        begun = time.monotonic()
        with pytest.raises(LocalError) as caught:
            keys.hour_key(HOUR + 1)
        assert caught.value.reason is Reason.BAD_STORE
        assert 0.2 < time.monotonic() - begun < 2
        begun = time.monotonic()
        for _ in range(20):  # and who comes after does not wait again
            with pytest.raises(LocalError):
                keys.hour_key(HOUR + 1)
        assert time.monotonic() - begun < 0.2
        with pytest.raises(LocalError):
            keys.destroy(HOUR)
        assert gone not in every_byte(folder)  # what has to be forgotten is
    assert keys.hour_key(HOUR + 1)
    keys.destroy(HOUR)
    assert RelayKeys.open(folder).last_hour == HOUR


def test_setting_the_clock_back_destroys_what_would_be_kept_too_long(folder: Path) -> None:
    now, wrong = 24 * 30 * 700 + 5, 24 * 30 * 700 + 105
    keys = RelayKeys.open(folder)
    keys.destroy(wrong)
    month = 24 * 30 * 701
    kept = [now + 31 * 24 // 24 * 24 - (now % 24), month, month + 720]
    gone = [wrong + 1, wrong + 72, wrong + 73, (wrong + 73) // 24 * 24, wrong + 31 * 24, month + 7,
            month + 2_160]  # fmt: skip
    made = {hour: keys.hour_key(hour) for hour in (*kept, *gone)}
    keys.set_back(now)
    there = every_byte(folder)
    assert {hour for hour, key in made.items() if key in there} == set(kept)
    assert all(keys.existing(hour) is None for hour in gone)
    assert keys.hour_key(now + 73)
    keys.set_back(now)
    assert keys.existing(now + 73) is not None


def test_a_clock_that_is_ahead_of_a_running_process_is_not_believed(folder: Path) -> None:
    running, other = RelayKeys.open(folder), RelayKeys.open(folder)
    running.join(HOUR)
    running.destroy(HOUR)
    with pytest.raises(LocalError) as caught:
        other.join(HOUR + 3)
    assert caught.value.reason is Reason.BAD_INPUT
    other.join(HOUR + 1)
    other.leave()
    other.join(HOUR + 300, accept=True)
    other.leave()
    running.leave()
    other.join(HOUR + 300)  # nobody has used them for so long
    other.leave()


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
