"""The code of the README's library section runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.examples import scripted_config

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
LIBRARY = README.partition("\n## Library\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```python\n(.*?)```", LIBRARY, re.DOTALL)


def test_the_library_section_shows_code() -> None:
    assert len(BLOCKS) >= 3


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_of_the_library_section_runs_as_it_stands(project: Path, number: int) -> None:
    Path("agent.hcl").write_text(scripted_config([{"text": f"answer {index}"} for index in range(4)]))
    done = subprocess.run([sys.executable, "-c", BLOCKS[number]], capture_output=True, text=True, timeout=60, env=dict(os.environ), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "answer" in done.stdout
