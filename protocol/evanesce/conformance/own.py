"""A run of this library itself, in this process, without a harness between."""

from __future__ import annotations

import json
import time

from . import harness as own
from .answers import PROTOCOL, Answer, read_answer, read_hello
from .process import Fault
from .runner import Progress, Run, Settings, judged_answer, note_traces
from .vectors import Vectors

__all__ = ["run_library"]


def run_library(vectors: Vectors, settings: Settings, progress: Progress) -> Run:
    """Run the library of this installation through the cases."""
    line = json.dumps(own.answer({"hello": {"protocol": PROTOCOL}})).encode()
    run = Run(read_hello(line), vectors.spec, vectors.version, settings)
    for case in vectors.select(settings.only):
        began = time.perf_counter()
        try:
            said = own.answer({"id": case.id, "op": case.op, "in": case.input})
            answer = read_answer(json.dumps(said).encode(), case.id)
        except (Fault, TypeError, ValueError) as error:
            answer = Answer("error", f"{type(error).__name__}: {error}")
        run.outcomes.append(judged_answer(case, answer, settings, began))
        progress(run.outcomes[-1])
    note_traces(run)
    return run
