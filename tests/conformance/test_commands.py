"""`evanesce vectors` and `evanesce conformance`, as a person runs them."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evanesce.cli import main
from evanesce.conformance.vectors import Vectors
from tests.conformance.conformance_support import CITED, scripted

LIBRARY = [sys.executable, "-m", "evanesce.conformance.harness"]


def conformance(vectors: Vectors, behaviour: str, *options: str) -> int:
    own = ["conformance", "--vectors", str(vectors.folder), "--quiet", *options]
    return main([*own, "--", *scripted(vectors, behaviour)])


def test_this_library_passes_through_its_own_harness(capfd: pytest.CaptureFixture[str]) -> None:
    some = ["--only", "kdf*", "--only", "session*", "--only", "open message"]
    assert main(["conformance", "--complete", *some, "--", *LIBRARY]) == 0
    shown = capfd.readouterr()
    assert "conforms in all that was run" in shown.out
    assert shown.out.split("\n")[0].split() == [
        "file", "passed", "failed", "expected", "skipped", "not", "offered"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [("right", 0), ("crash", 1), ("skip", 0), ("wrong reason", 1), ("exit at hello", 2),
     ("other protocol", 2)],
)  # fmt: skip
def test_exit_codes(small: Vectors, behaviour: str, code: int) -> None:
    assert conformance(small, behaviour) == code


def test_a_harness_that_gives_no_hello_shows_its_last_words(
    small: Vectors, capfd: pytest.CaptureFixture[str]
) -> None:
    assert conformance(small, "exit at hello") == 2
    assert capfd.readouterr().err == (
        "evanesce: the harness gave no hello: it ended with status 7 before it had answered\n"
        "no licence\n"
    )


def test_options_that_change_the_exit_code(small: Vectors, tmp_path: Path) -> None:
    expected = tmp_path / "expected.txt"
    expected.write_text("# known\nbad  # since long\n\n")
    named = ("--expected-failures", str(expected))
    assert conformance(small, "skip", "--complete") == 1
    assert conformance(small, "crash", *named) == 0
    assert conformance(small, "right", *named) == 1
    assert conformance(small, "crash", "--only", "goo?") == 0
    expected.write_text("bade\n")
    assert conformance(small, "right", *named) == 2
    assert conformance(small, "right", "--only", "nothing*") == 2
    assert conformance(small, "right", "--expected-failures", str(tmp_path / "none")) == 2


def test_an_unknown_expected_failure_is_told_with_its_line(
    small: Vectors, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = tmp_path / "expected.txt"
    expected.write_text("good\ngod\n")
    assert conformance(small, "right", "--expected-failures", str(expected)) == 2
    assert "line 2: no such case: god; near it: good" in capfd.readouterr().err


def test_wrong_usage(small: Vectors, capfd: pytest.CaptureFixture[str]) -> None:
    own = ["conformance", "--vectors", str(small.folder)]
    assert main(own) == 2
    assert main([*own, "--"]) == 2
    assert main([*own, "--", "/does/not/exist"]) == 2
    assert "cannot start /does/not/exist: No such file" in capfd.readouterr().err
    for wrong in (["--timeout", "0"], ["--timeout", "nan"], ["--max-answer", "-1"], ["command"]):
        with pytest.raises(SystemExit) as stopped:
            main(["conformance", *wrong, "--", "x"])
        assert stopped.value.code == 2


def test_the_command_may_hold_options_and_dashes(
    small: Vectors, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = tmp_path / "seen"
    script = f"printf '%s\\n' \"$@\" > {seen}"
    command = ["/bin/sh", "-c", script, "sh", "--json", "--", "a b;$(true)"]
    main(["conformance", "--vectors", str(small.folder), "--", *command])
    assert seen.read_text() == "--json\n--\na b;$(true)\n"
    assert "no hello" in capfd.readouterr().err


def test_all_reports_are_written_and_failures_shown(
    small: Vectors, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    paths = {name: tmp_path / f"r.{name}" for name in ("json", "junit", "markdown", "html")}
    options = [text for name, path in paths.items() for text in (f"--{name}", str(path))]
    assert conformance(small, "crash", *options, "--date", "today") == 1
    assert json.loads(paths["json"].read_text())["date"] == "today"
    assert paths["html"].read_text().startswith("<!DOCTYPE html>")
    shown = capfd.readouterr()
    assert "FAILED bad: the harness ended with status 3 before it had answered" in shown.out
    assert "\x1b" not in shown.out
    assert shown.err == ""


def test_a_report_that_cannot_be_written_is_told_before_the_run(small: Vectors) -> None:
    began = time.monotonic()
    assert conformance(small, "hang", "--json", "/does/not/exist/r.json") == 2
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_harness_and_writes_no_report(
    small: Vectors, tmp_path: Path, number: signal.Signals
) -> None:
    pid, report = tmp_path / "pid", tmp_path / "report.html"
    command = [*scripted(small, "hang"), str(pid)]
    started = subprocess.Popen(
        [sys.executable, "-m", "evanesce.cli", "conformance", "--vectors", str(small.folder),
         "--html", str(report), "--", *command],
        stderr=subprocess.PIPE,
    )  # fmt: skip
    for _ in range(500):
        if pid.exists() and pid.read_text():
            break
        time.sleep(0.02)
    child = int(pid.read_text())
    started.send_signal(number)
    _, err = started.communicate(timeout=20)
    assert started.returncode == 130
    assert err == b"evanesce: interrupted\n"
    assert not report.exists()
    assert list(tmp_path.glob(".report*")) == []
    stat = Path(f"/proc/{child}/stat")
    for _ in range(100):
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.02)
    pytest.fail("a child of the harness has outlived the run")


def test_on_a_terminal_there_is_a_bar_and_it_leaves_nothing(small: Vectors) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "evanesce.cli", "conformance", "--vectors", str(small.folder),
         "--", *scripted(small, "right")],
        stdout=subprocess.DEVNULL, stderr=theirs,
    ) as started:  # fmt: skip
        assert started.wait(20) == 0
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)
    assert "1/3, 0 failed" in shown
    assert shown.endswith("\r\x1b[K")


# --- vectors -------------------------------------------------------------------------------------


def test_list_narrows_down(small: Vectors, capfd: pytest.CaptureFixture[str]) -> None:
    folder = ["--vectors", str(small.folder)]
    assert main(["vectors", "list", *folder]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "3 cases"
    narrow = ["--op", "hash", "--file", "hash", "--spec", CITED, "--result", "invalid"]
    assert main(["vectors", "list", *folder, *narrow]) == 0
    assert capfd.readouterr().out.splitlines()[0] == "after  hash: bad-signature  the case after"
    assert main(["vectors", "list", *folder, "--json", "--result", "valid"]) == 0
    assert [each["id"] for each in json.loads(capfd.readouterr().out)] == ["good", "bad"]
    assert main(["vectors", "list", *folder, "--op", "none"]) == 2
    assert main(["vectors", "list", *folder, "--file", "hahs"]) == 2
    assert "near it: hash.json" in capfd.readouterr().err


def test_show_is_for_people_or_for_machines(
    small: Vectors, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = ["--vectors", str(small.folder)]
    assert main(["vectors", "show", "after", *folder]) == 0
    shown = capfd.readouterr().out
    for line in (
        "  the case after", "  made from good", "  changed: a bit is flipped",
        "  hash.json, operation hash, invalid: bad-signature", '    "label": "61",',
    ):  # fmt: skip
        assert line in shown.splitlines()
    assert main(["vectors", "show", "good", *folder]) == 0
    assert '  second: "c0ffee"' in capfd.readouterr().out.splitlines()
    assert main(["vectors", "show", "good", "--json", *folder]) == 0
    assert json.loads(capfd.readouterr().out)["out"] == {"output": "00ff" * 8}
    assert main(["vectors", "show", "goood", *folder]) == 2
    assert capfd.readouterr().err == "evanesce: no such case: goood; near it: good\n"


def test_check_looks_at_files_and_library(
    small: Vectors, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["vectors", "check", "--only", "kdf-*", "--quiet"]) == 0
    assert "conforms in all that was run" in capfd.readouterr().out
    folder = ["--vectors", str(small.folder), "--quiet"]
    assert main(["vectors", "check", *folder]) == 1  # these are not the true results
    assert "FAILED good: " in capfd.readouterr().out
    (small.v1 / "hash.json").write_bytes(b"{}")
    assert main(["vectors", "check", *folder]) == 1
    assert "FAULT hash.json: 2 bytes" in capfd.readouterr().out


def test_generate_needs_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from evanesce.conformance import checkout

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkout, "files", lambda _: tmp_path / "lib" / "evanesce")
    (tmp_path / "spec").mkdir()
    (tmp_path / "spec" / "generate.py").write_text("")  # a folder of that name makes no checkout
    for command in (["generate"], ["coverage", "--check"]):
        assert main(["vectors", *command]) == 2
        assert "run this in a checkout" in capfd.readouterr().err


def test_generate_runs_the_script_of_the_checkout_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "protocol" / "evanesce").mkdir(parents=True)
    (tmp_path / "spec" / "cases").mkdir(parents=True)
    (tmp_path / "spec" / "generate.py").write_text(
        "import pathlib, sys\npathlib.Path('ran').write_text(' '.join(sys.argv[1:]))\nsys.exit(1)\n"
    )
    monkeypatch.chdir(tmp_path / "spec" / "cases")
    assert main(["vectors", "generate", "--check"]) == 1
    assert Path("ran").read_text() == "--check"


def test_coverage_is_the_summary_or_what_is_cited(
    small: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from evanesce.conformance import checkout

    (tmp_path / "around" / "protocol" / "evanesce").mkdir(parents=True)
    (tmp_path / "around" / "spec").mkdir()
    (tmp_path / "around" / "spec" / "generate.py").write_text("")
    rules = "".join(f"**REQ-PRIM-{n:02}** (wire) It MUST.\n" for n in range(1, 5))
    (tmp_path / "around" / "spec" / "03.md").write_text(rules + "**REQ-WIRE-01** (wire) It MUST.\n")
    folder = ["--vectors", str(small.folder)]
    monkeypatch.chdir(tmp_path / "around")
    assert main(["vectors", "coverage", *folder]) == 0
    first = capfd.readouterr().out.splitlines()[0]
    assert first.startswith("wire ")
    assert " of   5 " in first
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkout, "files", lambda _: tmp_path / "lib" / "evanesce")
    assert main(["vectors", "coverage", *folder]) == 0  # an installation: no text to count against
    assert capfd.readouterr().out.splitlines()[0].startswith("PRIM ")
    (small.folder / "COVERAGE.md").write_text("# Coverage\n\n12 of 13\n\n## All\n\n" + CITED)
    assert main(["vectors", "coverage", *folder]) == 0
    assert capfd.readouterr().out == "# Coverage\n\n12 of 13\n"
