"""Every requirement is tested by what its kind asks for, and the table says so."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from spec.coverage import Coverage, Places, Requirement

import evanesce
from spec import coverage

INSTALLED = Path(str(files("evanesce") / "_vectors"))
PLACES = Places(
    package=Path(evanesce.__file__).parent,
    vectors=INSTALLED if INSTALLED.is_dir() else coverage.ROOT / "vectors",
)
FOUND = coverage.collect(PLACES)


def test_nothing_is_missing() -> None:
    assert coverage.faults(FOUND) == []


def test_the_table_is_what_was_found() -> None:
    assert (PLACES.vectors / "COVERAGE.md").read_bytes() == coverage.table(FOUND).encode()


def test_all_kinds_are_there() -> None:
    """Or the text is not read as it is written."""
    kinds = [each.kind for each in FOUND.requirements]
    assert set(kinds) == {"wire", "state", "duty"}
    assert min(kinds.count(kind) for kind in set(kinds)) > 20
    assert {each.chapter for each in FOUND.requirements} == {*range(3, 16), 17, 22}


def req(rest: str) -> str:
    """An id that this file, for once, does not cite."""
    return f"REQ-{rest}"


def without(**changes: object) -> list[str]:
    """The faults that a change brings."""
    before, changed = coverage.faults(FOUND), FOUND._replace(**changes)  # type: ignore[arg-type]
    return [fault for fault in coverage.faults(changed) if fault not in before]


def test_each_fault_is_found() -> None:
    wire, state, duty = req("PRIM-01"), req("CHAIN-05"), req("PRIM-12")
    cases = {name: by for name, by in FOUND.cases.items() if name != wire}
    assert without(cases=cases) == [f"{wire} (wire) has no case"]
    tests = {name: by for name, by in FOUND.tests.items() if name != state}
    assert without(tests=tests) == [f"{state} (state) has no test"]
    assert without(duties=FOUND.duties - {duty}) == [f"{duty} (duty) does not stand in chapter 17"]
    unknown = req("NONE-01")
    assert without(cases={**FOUND.cases, unknown: ["a-case"]}) == [
        f"{unknown} is cited by a-case, and not defined"
    ]
    assert without(elsewhere={**FOUND.elsewhere, unknown: ["tests/test_x.py"]}) == [
        f"{unknown} is cited by tests/test_x.py, and not defined"
    ]
    assert without(duties=FOUND.duties | {unknown}) == [
        f"{unknown} is cited in chapter 17, and not defined"
    ]


def test_what_a_test_cites_stands_within_it() -> None:
    named = {n: req(f"CHAIN-0{n}") for n in range(1, 6)}
    text = f'''
# {named[1]} above
@decorated  # {named[2]}
def test_one() -> None:
    """{named[3]}."""
    assert True  # {named[4]}

def helper() -> None:
    """{named[5]}."""
'''
    ((name, lines),) = coverage.test_functions(text)
    assert name == "test_one"
    assert coverage.CITED.findall(lines) == [named[n] for n in (2, 3, 4)]


def test_a_row_of_the_table() -> None:
    wire, duty = req("PRIM-01"), req("PRIM-12")
    found = Coverage(
        [Requirement(wire, "wire", 3), Requirement(duty, "duty", 3)],
        {wire: ["a", "b", "c", "d"]}, {wire: ["x.py::test_y"]}, {duty}, {},
    )  # fmt: skip
    assert coverage.table(found).splitlines()[-2:] == [
        f"| {wire} | wire | 3 | 4: `a`, `b`, `c`, … | `x.py::test_y` |",
        f"| {duty} | duty | 3 |  | chapter 17 |",
    ]
    assert "| wire | 1 | 1 | 1 | 0 |" in coverage.table(found)
