"""This library behind the operations of the vectors (spec 20.5): `OPERATIONS`, by name.

One module for each chapter or two; importing a module registers what is in it.
"""

from __future__ import annotations

from . import (  # noqa: F401  imported to register their operations
    chains,
    commits,
    dispatch,
    encoding,
    envelopes,
    epochs,
    evaporation,
    founding,
    identity,
    invitations,
    limits,
    membership,
    messages,
    primitives,
    relays,
    rooms,
    session,
    turns,
)
from .registry import OPERATIONS, Json, Operation, operation

__all__ = ["OPERATIONS", "Json", "Operation", "operation"]
