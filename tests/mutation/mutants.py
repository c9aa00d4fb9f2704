"""The mutants of one module: its source with one small fault each.

The operators are mutmut's. Its runner is not used: it switches between copies of a function inside
the module, so it reaches neither tables nor constants nor properties. Two operators are added: a
statement that only calls is dropped, and the body of an `if` is never entered, since a check that
is left out is the fault that matters most in this code.

Left alone: docstrings, annotations and aliases of types, imports, `__all__`, decorators, asserts,
calls of `len` and `isinstance` as mutmut leaves them, and the *text* of an exception. No part of
the specification says what such a text is; the reason is mutated.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

# Only who runs the mutants needs these two.
import libcst as cst  # type: ignore[import-not-found,unused-ignore]
from mutmut.mutation.mutators import (  # type: ignore[import-not-found,unused-ignore]
    mutation_operators,
)

# Calls that make an exception, and how many of their arguments carry meaning.
ERRORS: Final = {"LocalError": 1, "RemoteError": 1, "StorageError": 1, "_bad": 0}
LEFT_ALONE: Final = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.Assert)
TYPE_ALIASES: Final = {"Value", "Field", "Random"}
UNCALLED: Final = {"len", "isinstance"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: where it is, the changed lines before and after, and the whole source with it."""

    module: str
    where: str  # qualified name of the function or class, or of the module
    line: int
    before: str
    after: str
    source: str


def _name_of(node: cst.CSTNode) -> str:
    """The name that a call calls or an assignment assigns, if it is a plain one."""
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Name):
        return str(node.func.value)
    if isinstance(node, cst.Assign) and isinstance(node.targets[0].target, cst.Name):
        return str(node.targets[0].target.value)
    return ""


def _is_left_alone(node: cst.CSTNode) -> bool:
    if isinstance(node, LEFT_ALONE):
        return True
    name = _name_of(node)
    if isinstance(node, cst.Assign):
        return name == "__all__" or name in TYPE_ALIASES
    return isinstance(node, cst.Call) and name in UNCALLED


def _nodes(node: Any, scope: str = "") -> Iterator[tuple[Any, str]]:
    """Every node that may be mutated, and the scope it is in."""
    if _is_left_alone(node):
        return
    name = _name_of(node)
    if isinstance(node, cst.Call) and name in ERRORS:
        for argument in node.args[: ERRORS[name]]:
            yield from _nodes(argument, scope)
        return
    yield node, scope
    if isinstance(node, cst.FunctionDef | cst.ClassDef):
        scope = f"{scope}.{node.name.value}".lstrip(".")
    for child in node.children:
        yield from _nodes(child, scope)


def _faults(node: Any) -> Iterator[Any]:
    """The nodes that may stand in the place of this one."""
    for kind, operator in mutation_operators:
        if isinstance(node, kind):
            yield from operator(node)
    if isinstance(node, cst.If):
        yield node.with_changes(test=cst.Name("False"))
    if isinstance(node, cst.Expr) and isinstance(node.value, cst.Call | cst.Subscript):
        yield cst.Pass()


def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except SyntaxError:
        return None


def _changed_lines(before: list[str], after: str) -> tuple[int, str, str]:
    """Line number, and the lines that differ, joined and stripped."""
    other = after.splitlines()
    matcher = difflib.SequenceMatcher(None, before, other, autojunk=False)
    changed = [block for block in matcher.get_opcodes() if block[0] != "equal"]
    first, last = changed[0], changed[-1]
    old, new = before[first[1] : last[2]], other[first[3] : last[4]]
    return first[1] + 1, _joined(old), _joined(new)


def _joined(lines: Iterable[str]) -> str:
    return " ".join(line.strip() for line in lines).strip()


def mutants_of(module: str, source: str) -> list[Mutant]:
    """Every mutant of a module that compiles and is not the same program as another."""
    tree: Any = cst.MetadataWrapper(cst.parse_module(source)).module
    original = ast.parse(source)
    seen = {ast.dump(original)}
    lines = source.splitlines()
    found = []
    for node, scope in _nodes(tree):
        for fault in _faults(node):
            code = tree.deep_replace(node, fault).code
            parsed = _parsed(code)
            if parsed is None or (dump := ast.dump(parsed)) in seen:
                continue
            seen.add(dump)
            line, before, after = _changed_lines(lines, code)
            found.append(Mutant(module, scope or "module", line, before, after, code))
    return found
