"""Reports of a run, for machines and for people. Equal runs make equal reports, but for times."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..runner import Run
from ..text import RunError
from .data import as_data, as_json
from .junit import as_junit
from .markdown import as_markdown
from .page import as_page

__all__ = ["FORMATS", "as_data", "as_json", "as_junit", "as_markdown", "as_page", "write_reports"]

Data = dict[str, Any]
FORMATS: dict[str, Callable[[Data], str]] = {
    "json": as_json,
    "junit": as_junit,
    "markdown": as_markdown,
    "html": as_page,
}


def write_reports(
    run: Run, paths: Mapping[str, Path], *, date: str | None = None, times: bool = False
) -> None:
    """Write each report that a path is given for, wholly or not at all."""
    data = as_data(run, date=date, times=times)
    # All are made before the first is written.
    made = {path: FORMATS[name](data).encode() for name, path in paths.items()}
    for path, content in made.items():
        _write(path, content)


def _write(path: Path, content: bytes) -> None:
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)  # a device or pipe, such as /dev/stdout
            return
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from error
