"""The kept corpus, replayed in plain Python: accepted, or one typed refusal, and nothing changed.

The corpora are what coverage-guided fuzzing found (`run.py`), each input because it goes a way of
its own through the library. What once showed a fault stays in them.
"""

from __future__ import annotations

import pytest

from tests.fuzz import corpus
from tests.fuzz.oracle import Refused
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_every_kept_input_is_accepted_or_refused_by_one_typed_error(name: str) -> None:
    inputs = corpus.load(name)
    assert len(inputs) >= 10, "the corpus of this target is missing"
    found = {outcome for data in inputs.values() for outcome in corpus.outcomes(
        TARGETS[name].run(data))}  # fmt: skip
    assert len(found) >= 2, f"all inputs end alike: {found}"


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.raw])
def test_inputs_of_the_vectors_are_accepted_or_refused_by_one_typed_error(name: str) -> None:
    begin = seeds(name)
    assert begin
    answers = [TARGETS[name].run(data) for data in begin]
    assert any(not isinstance(answer, Refused) for answer in answers)


@pytest.mark.parametrize("name", TARGETS)
def test_the_empty_input_is_no_fault(name: str) -> None:
    assert TARGETS[name].run(b"") is not NotImplemented


def test_no_corpus_is_without_its_target_and_all_are_small() -> None:
    files = sorted(corpus.FOLDER.iterdir())
    assert [path.stem for path in files] == sorted(TARGETS)
    assert sum(path.stat().st_size for path in files) < 1_500_000
