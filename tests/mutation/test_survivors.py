"""The list of unkilled mutants is about code that exists, and explains each of them."""

import ast
from pathlib import Path
from typing import Final

import pytest

import evanesce
from tests.mutation.layers import LAYERS
from tests.mutation.survivors import FILE, Survivor, read_survivors

TREE: Final = Path(__file__).parents[2]
SOURCES: Final = Path(evanesce.__file__).parent
SURVIVORS: Final = read_survivors()


def lines_of(source: str, where: str) -> str:
    """The lines of a function or class, or of the whole module; joined as the runner joins them."""
    node: ast.AST = ast.parse(source)
    for name in where.split(".") if where != "module" else ():
        (node,) = (
            inner
            for inner in ast.walk(node)
            if isinstance(inner, ast.FunctionDef | ast.ClassDef) and inner.name == name
        )
    lines = source.splitlines()
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        lines = lines[first - 1 : node.end_lineno]
    return " ".join(line.strip() for line in lines)


@pytest.mark.parametrize("module", LAYERS)
def test_a_module_that_is_mutated_exists_and_has_tests_and_vectors(module: str) -> None:
    layer = LAYERS[module]
    assert (SOURCES / f"{module}.py").is_file()
    assert layer.tests
    for test in layer.tests:
        assert (TREE / test).is_file(), test
    for name in layer.vectors:
        assert (TREE / "vectors" / "v1" / name).is_file(), name


def test_survivors_are_listed_once_each() -> None:
    keys = [survivor.key for survivor in SURVIVORS]
    assert keys
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("survivor", SURVIVORS, ids=lambda each: f"{each.module}-{each.where}")
def test_a_survivor_is_of_a_line_that_exists_and_says_why_it_lives(survivor: Survivor) -> None:
    assert survivor.module in LAYERS
    source = (SOURCES / f"{survivor.module}.py").read_text(encoding="utf-8")
    assert survivor.before in lines_of(source, survivor.where)
    assert survivor.after != survivor.before
    assert len(survivor.why.split()) >= 5
    assert survivor.why.endswith(".")


def test_an_entry_of_another_form_is_refused(tmp_path: Path) -> None:
    text = FILE.read_text(encoding="utf-8")
    changed = tmp_path / "survivors.toml"
    changed.write_text(text.replace("why =", "because =", 1), encoding="utf-8")
    with pytest.raises(TypeError):
        read_survivors(changed)
