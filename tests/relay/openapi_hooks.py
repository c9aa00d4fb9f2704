"""Bodies for schemathesis: objects of the relay's forms, right, nearly right and not at all."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import strategies as st

from evanesce.relay_formats import BLOB, BLOB_DELETION, CLAIM, MEDIA_TYPE, PUBLISH, PUT, RECALL


def _some(size: int) -> st.SearchStrategy[bytes]:
    """Some few values, so that they meet again."""
    return st.sampled_from([bytes([number]) * size for number in range(3)])


_ID, _SALT = _some(32), _some(16)
_PUT = st.tuples(_ID, _SALT, _SALT, st.binary(min_size=1, max_size=2_000)).map(list)
_RECALL = st.tuples(_ID, _SALT, _SALT).map(list)
_SIGNED = st.binary(min_size=1, max_size=1_024)
_OBJECTS: st.SearchStrategy[bytes] = st.one_of(
    st.lists(_PUT, min_size=1, max_size=6).map(PUT.build),
    st.lists(_RECALL, min_size=1, max_size=6).map(RECALL.build),
    st.builds(PUBLISH.build, _ID, st.lists(_SIGNED, max_size=3), st.none() | _SIGNED),
    st.builds(CLAIM.build, _ID),
    st.builds(BLOB.build, _ID, st.binary(min_size=1, max_size=2_000)),
    st.builds(BLOB_DELETION.build, _ID, _SALT),
)
_BENT = st.builds(lambda data, at, byte: data[:at] + byte + data[at + 1 :], _OBJECTS,
                  st.integers(0, 60), st.binary(max_size=2))  # fmt: skip
_BODIES = st.one_of(_OBJECTS, _OBJECTS, _BENT, st.binary(max_size=200))

schemathesis.openapi.media_type(MEDIA_TYPE, _BODIES)


@schemathesis.serializer(MEDIA_TYPE)
def _as_it_is(ctx: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
