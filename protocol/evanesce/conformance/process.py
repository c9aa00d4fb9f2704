"""A harness as a process: one line to it, one line from it, never more than is allowed.

POSIX only: pipes are waited for with `selectors`, and the harness is ended with its whole process
group.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Literal

from .text import RunError, harmless

__all__ = ["Fault", "FaultKind", "Harness"]

FaultKind = Literal["died", "late", "too-long", "not-an-answer"]

TAIL = 4096  # bytes of standard error that are kept
CHUNK = 1 << 18
GLANCE = 0.25  # seconds between two looks whether the harness is still alive
GRACE = 1.0  # seconds for the end of a process whose output has ended
FAREWELL = 5.0  # seconds for the end of a harness whose input has ended


class Fault(Exception):  # noqa: N818  it is the fault of the harness, not an error of ours
    """The harness broke the protocol; it has been ended, and the case failed."""

    def __init__(self, kind: FaultKind, message: str) -> None:
        self.kind: FaultKind = kind
        super().__init__(message)


class Harness:
    """A running harness. Whoever starts one ends it with `finish` or `kill`."""

    def __init__(self, command: Sequence[str], max_answer: int) -> None:
        if os.name != "posix":
            raise RunError("the runner needs a POSIX system")
        self._max_answer = max_answer
        try:
            # The command is the user's own; no shell is between.
            self._process = subprocess.Popen(  # noqa: S603
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise RunError(f"cannot start {command[0]}: {why}") from error
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None
        assert stdout is not None
        assert stderr is not None
        self._pipes = (stdin, stdout, stderr)
        self._in, self._out, self._err = (pipe.fileno() for pipe in self._pipes)
        self._selector = selectors.DefaultSelector()
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)
        self._selector.register(self._out, selectors.EVENT_READ)
        self._selector.register(self._err, selectors.EVENT_READ)
        self._said = bytearray()  # what it wrote and nobody has taken yet
        self._tail = bytearray()
        self._out_ended = False
        self.alive = True

    @property
    def stderr(self) -> str:
        """The end of what it wrote to standard error since the last request."""
        self._glance()
        return harmless(bytes(self._tail).decode("utf-8", "replace").replace("\r\n", "\n"))

    def ask(self, request: bytes, seconds: float) -> bytes:
        """Send one line and wait for one, both until the same deadline; raise `Fault` else."""
        self._glance()
        if self._said:
            raise self._fault("not-an-answer", "wrote a line before it was asked")
        self._tail.clear()
        deadline = time.monotonic() + seconds
        unsent = self._send(memoryview(request))
        if unsent:
            self._selector.register(self._in, selectors.EVENT_WRITE)
        try:
            scanned = 0
            while True:
                end = self._said.find(b"\n", scanned)
                if end > self._max_answer or (end < 0 and len(self._said) > self._max_answer):
                    raise self._fault(
                        "too-long", f"wrote an answer of more than {self._max_answer} bytes"
                    )
                if end >= 0:
                    break
                scanned = len(self._said)
                if self._out_ended:
                    raise self._died()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise self._fault("late", f"did not answer within {seconds:g} s")
                events = self._selector.select(min(left, GLANCE))
                if not events and self._has_exited():
                    # A child of it may hold its output open for ever.
                    raise self._died()
                for key, _ in events:
                    if key.fd == self._in:
                        unsent = self._send(unsent)
                        if not unsent:
                            self._selector.unregister(self._in)
                    else:
                        self._read(key.fd)
        finally:
            if self.alive and self._in in self._selector.get_map():
                self._selector.unregister(self._in)
        if unsent:
            raise self._fault("not-an-answer", "answered before it had read the request")
        answer = bytes(self._said[:end])
        del self._said[: end + 1]
        return answer

    def unasked(self) -> bool:
        """Whether it has, by now, said more than its one line; then it has been ended."""
        self._glance()
        if self._said:
            self.kill()
            return True
        return False

    def finish(self) -> str | None:
        """End its input and wait for its end; what was not right about it, in words."""
        if not self.alive:
            return None
        self._pipes[0].close()
        deadline = time.monotonic() + FAREWELL
        while not (self._out_ended and self._has_exited()):
            left = deadline - time.monotonic()
            if left <= 0:
                self.kill()
                return f"did not exit within {FAREWELL:g} s after its input had ended"
            for key, _ in self._selector.select(min(left, GLANCE / 5)):
                self._read(key.fd)
            if self._has_exited():
                self._glance()
                break
            del self._said[1:]
        said_more = bool(self._said)
        status = self.kill()
        if said_more:
            return "wrote something after the last answer"
        return f"{_how(status)} when its input ended" if status != 0 else None

    def kill(self) -> int:
        """End it, and all that belongs to its process group; give the status of its end."""
        if self.alive:
            self._glance()
            self.alive = False
            # Before it is reaped: until then its id is no other process's. An error means that
            # nothing but a zombie is left of the group.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._selector.close()
            for pipe in self._pipes:
                pipe.close()
        return self._process.wait()

    def _fault(self, kind: FaultKind, message: str) -> Fault:
        self._drain_stderr(0)
        self.kill()
        return Fault(kind, message)

    def _died(self) -> Fault:
        """Its output has ended: say how, if it tells so within a moment."""
        deadline = time.monotonic() + GRACE
        while not self._has_exited() and time.monotonic() < deadline:
            time.sleep(0.005)
        exited = self._has_exited()
        self._drain_stderr(GLANCE)
        status = self.kill()
        if exited:
            return Fault("died", f"{_how(status)} before it had answered")
        return Fault("died", "closed its standard output before it had answered")

    def _has_exited(self) -> bool:
        """Whether the process is dead, without reaping it."""
        if not hasattr(os, "waitid"):
            return False
        try:
            done = os.waitid(
                os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
            )
        except ChildProcessError:
            return True
        return done is not None

    def _send(self, data: memoryview) -> memoryview:
        """Write what the pipe takes; what is left."""
        while data:
            try:
                sent = os.write(self._in, data[:CHUNK])
            except BlockingIOError:
                return data
            except BrokenPipeError:
                # It no longer reads. What it says, or its end, comes through its output.
                return data[:0]
            data = data[sent:]
        return data

    def _read(self, fd: int) -> bool:
        """Take what has come; whether anything had."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(fd)
            if fd == self._out:
                self._out_ended = True
        elif fd == self._out:
            self._said += data
        else:
            self._tail += data
            del self._tail[:-TAIL]
        return bool(data)

    def _glance(self) -> None:
        """Take what lies in the pipes, a bounded amount of it, without waiting."""
        for fd in (self._out, self._err):
            for _ in range(16):
                if not self.alive or fd not in self._selector.get_map() or not self._read(fd):
                    break

    def _drain_stderr(self, seconds: float) -> None:
        """Its last words: what is in the pipe, until its end, and no longer than that."""
        deadline = time.monotonic() + seconds
        self._glance()
        while time.monotonic() < deadline and self._err in self._selector.get_map():
            if not self._read(self._err):
                time.sleep(0.005)


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
