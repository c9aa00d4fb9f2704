"""What the README shows is true: its example runs, its commands are the real ones."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_readmes_example_runs_as_it_stands(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(example.strip().splitlines()) <= 20
    file = tmp_path / "example.py"
    file.write_text(example, "utf-8")
    done = subprocess.run(
        [sys.executable, str(file)], capture_output=True, check=False, timeout=60, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Mina wrote: See you at 7?\n", "")
