"""Two devices in two processes, and nothing between them but a folder."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

ROOT = Path(__file__).parents[2]
COUNT = 5


async def start(folder: Path, name: str) -> Process:
    path = os.pathsep.join([str(ROOT / "protocol"), str(ROOT)])
    arguments = ["-m", "tests.transport.device_child", str(folder), name, str(COUNT)]
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=PIPE, stdout=PIPE, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


async def line(process: Process, said: str | None = None) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    if said is not None:
        process.stdin.write(f"{said}\n".encode())
    return (await process.stdout.readline()).decode().strip()


async def test_two_processes_talk_through_a_folder(tmp_path: Path) -> None:
    mina, junho = await start(tmp_path, "Mina"), await start(tmp_path, "Junho")
    try:
        async with asyncio.timeout(60):
            await line(mina)
            card = await line(junho)
            results = await asyncio.gather(line(mina, card), line(junho, ""))
            assert [await mina.wait(), await junho.wait()] == [0, 0]
    finally:
        for process in (mina, junho):
            if process.returncode is None:
                process.kill()
                await process.wait()
    heard_by_mina, heard_by_junho = map(json.loads, results)
    assert heard_by_mina == [f"Junho {n}" for n in range(1, COUNT + 1)]
    assert heard_by_junho == [f"Mina {n}" for n in range(1, COUNT + 1)]
    mailboxes = [path for path in (tmp_path / "mailboxes").iterdir() if path.is_dir()]
    assert len(mailboxes) >= 3, "contact mailboxes and mailboxes of the room"
    for text in (b"Mina", b"Junho"):
        assert not any(text in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
