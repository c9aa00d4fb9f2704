"""Runs the vectors of one layer; the runner of mutants names this file to pytest.

The suite runs them all in `tests/vectors`, one test for each; here one test for each file, since
only the first failure counts.
"""

from __future__ import annotations

import json
import os

import pytest

from evanesce.conformance.answers import Answer
from evanesce.conformance.compare import compare
from evanesce.conformance.library import OPERATIONS
from evanesce.conformance.vectors import Case
from evanesce.errors import EvanesceError
from tests.mutation.vector_files import cases_of


@pytest.mark.parametrize("name", os.environ["EVANESCE_MUTATION_VECTORS"].split(","))
def test_the_vectors_of_a_file(name: str) -> None:
    for each in cases_of(name):
        case = Case.of(name, each)
        try:
            answer = Answer("ok", json.loads(json.dumps(OPERATIONS[case.op](case.input))))
        except EvanesceError as error:
            answer = Answer("reject", str(error.reason))
        assert compare(case, answer).message == "", case.id
