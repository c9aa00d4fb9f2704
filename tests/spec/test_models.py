"""The symbolic models: their queries, expected results and README belong together, and are run.

Where ProVerif is on the path it is run: on one model, and in the long profile on all of them.
"""

import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

DIRECTORY = Path(__file__).parents[2] / "spec" / "models"


def load_check() -> ModuleType:
    """`check.py`, which is a command beside the models and in no package."""
    found = importlib.util.spec_from_file_location("evanesce_models_check", DIRECTORY / "check.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module
    found.loader.exec_module(module)
    return module


check = load_check()
EXPECTED = check.load()
MODELS = sorted(path.name for path in DIRECTORY.glob("*.pv"))
README = (DIRECTORY / "README.md").read_text("utf-8")
TEXTS = {name: (DIRECTORY / name).read_text("utf-8") for name in MODELS}

# What ProVerif 2.05 said, shortened: an attack, a proof, and a query about which it cannot tell.
RECORDED = """\
RESULT not event(Reads(read_1,content)) is false.

--------------------------------------------------------------
Verification summary:

Query inj-event(Accepts(a_5,ctx_4,content_5)) ==> inj-event(Sends(a_5,ctx_4,content_5)) is true.

Query not (event(Says(one_first,content_5)) && attacker(content_5)) cannot be proved.

Query not event(Reads(read_1,content)) is false.

--------------------------------------------------------------
"""
ASKED = [
    check.Query("authentic", "", "inj-event(Accepts(a, c)) ==> inj-event(Sends(a, c))."),
    check.Query("healed", "", "event(Says(one_first, c)) && attacker(c) ==> false."),
    check.Query("reachable", "", "event(Reads(read_1, c))."),
]
MODEL = """\
(* query first: words,
   of two lines. REQ-X *)
query x: bitstring;
  event(A(x)) ==> event(B(x)).

(* query second: words *)
query x: bitstring; event(A(x)).

process
  if good then  (* flaw unchecked: *)
  out(net, a)  (* flaw leaks: out(net, (a, b)) *)
"""


def test_verdicts_are_read_in_the_order_of_the_queries() -> None:
    assert check.verdicts(RECORDED, ASKED) == {
        "authentic": "true",
        "healed": "unproved",
        "reachable": "false",
    }


@pytest.mark.parametrize(
    ("output", "asked"),
    [
        ("", ASKED),
        ("Error: Syntax error.\n", ASKED),
        (RECORDED.partition("Verification")[0], ASKED),  # it was interrupted before its end
        (RECORDED, ASKED[:2]),
        (RECORDED, [ASKED[1], ASKED[0], ASKED[2]]),  # a verdict on another query
    ],
)
def test_output_that_does_not_answer_the_queries_is_no_verdict(
    output: str, asked: list[object]
) -> None:
    with pytest.raises(check.UnreadableError):
        check.verdicts(output, asked)


def test_a_twin_has_its_flaw_and_the_queries_it_is_asked() -> None:
    sound = check.variant(MODEL, "", ["first", "second"])
    assert "flaw" not in sound
    assert "  if good then\n  out(net, a)\n" in sound
    unchecked = check.variant(MODEL, "unchecked", ["second"])
    assert "if good" not in unchecked
    assert "out(net, a)\n" in unchecked
    assert [query.name for query in check.queries(unchecked)] == ["second"]
    assert "out(net, (a, b))\n" in check.variant(MODEL, "leaks", [])
    with pytest.raises(ValueError, match="no flaw"):
        check.variant(MODEL, "other", [])


def test_each_query_of_each_model_has_an_expected_result() -> None:
    assert sorted(EXPECTED) == MODELS
    for model, text in TEXTS.items():
        names = [query.name for query in check.queries(text)]
        assert names
        assert len(set(names)) == len(names)
        assert list(EXPECTED[model][""]) == names
        # None is hidden from the runner by its form.
        assert len(re.findall(r"^query ", text, re.M)) == len(names)


def test_each_flaw_of_each_model_is_run_and_differs_from_the_model() -> None:
    for model, text in TEXTS.items():
        assert text.count("(* flaw ") == len(check.FLAW.findall(text))
        assert sorted(set(EXPECTED[model]) - {""}) == check.flaws(text)
        for flaw, wanted in EXPECTED[model].items():
            assert set(wanted) <= set(EXPECTED[model][""])
            assert wanted
            assert set(wanted.values()) <= set(check.RESULTS)
            assert not flaw or check.variant(text, flaw, []) != check.variant(text, "", [])


def test_each_claim_is_refuted_in_a_flawed_twin_and_each_model_is_seen_to_run() -> None:
    for model, runs in EXPECTED.items():
        refuted = {name for flaw, wanted in runs.items() if flaw for name in wanted}
        claims = {name for name, result in runs[""].items() if result == "true"}
        assert claims <= refuted, model
        assert all(r == "false" for flaw, w in runs.items() if flaw for r in w.values()), model
        assert any(name.endswith("reachable") for name in runs[""]), model


def test_the_readme_has_a_row_with_the_result_for_each_query_and_twin() -> None:
    for model, runs in EXPECTED.items():
        section = README.split(f"\n### `{model}`", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
        for name, result in runs[""].items():
            assert re.search(rf"^\| `{name}` \| .* \| {result} \|$", section, re.M), (model, name)
        for flaw, wanted in runs.items():
            for name, result in wanted.items():
                row = rf"^\| `{flaw}` \| .*`{name}`.* \| {result} \|"
                assert not flaw or re.search(row, section, re.M), (model, flaw, name)


def test_where_proverif_is_absent_the_runner_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check.main(["--if-present"]) == 0
    assert "NOT run" in capsys.readouterr().out
    assert check.main([]) == 2
    assert "NOT run" in capsys.readouterr().out


def fake_proverif(directory: Path, script: str) -> None:
    """A program of that name: what the runner makes of answers is tested without the real one."""
    path = directory / "proverif"
    path.write_text(f"#!{sys.executable}\n{script}", "utf-8")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("script", "line", "status"),
    [
        ("print('Verification summary:')", "DIFFER", 1),
        ("import time; time.sleep(60)", "timeout, expected", 1),
        ("raise SystemExit('broken')", "FAILED", 1),
    ],
)
def test_an_answer_that_is_not_expected_fails_the_run(
    script: str,
    line: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    fake_proverif(tmp_path, f"import sys\nif '-help' not in sys.argv:\n    {script}\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check.main(["--timeout", "0.3", "message.pv"]) == status
    assert line in capsys.readouterr().out


def test_the_installed_proverif_gives_the_expected_results(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All in the long profile, else the quickest; without ProVerif that is said, not hidden."""
    models = [] if os.environ.get("EVANESCE_PROFILE") == "long" else ["message.pv"]
    assert check.main(["--if-present", *models]) == 0
    said = "0 with another result" if shutil.which("proverif") else "were NOT run"
    assert said in capsys.readouterr().out
