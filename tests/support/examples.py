"""Where the example programs are, and the configs they run on: a scripted model, or the real local ones under the same names."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).resolve().parents[1] / "examples" / "programs"
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
README = Path(__file__).resolve().parents[2] / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LOCAL = ("qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")
SCOUT = 'agents "scout" { description = "Reads files and reports findings." model = "fast" tools = ["read", "ls", "grep", "glob"] }\n'


def scripted_config(script: Sequence[Any]) -> str:
    """`fast` and `strong` are models of a script, which is written to the working directory."""
    Path("script.json").write_text(json.dumps([{"text": step} if isinstance(step, str) else step for step in script]))
    return (
        'default_model = "fast"\naliases {\n  fast = "demo/small-1"\n  strong = "demo/large-1"\n}\n'
        f'providers "demo" {{\n  wire = "scripted"\n  script = "{Path("script.json").resolve()}"\n  models "small-1" {{}}\n  models "large-1" {{}}\n}}\n'
        f"{SCOUT}"
    )


PATIENT = "limits {\n  first_byte_s = 1200\n  idle_s = 1200\n  call_s = 2400\n}\n"
"""A machine that does other things too may read a prompt for minutes."""


def local_config() -> str:
    """`fast` and `strong` are the local models."""
    small, large = LOCAL
    models = f'models "{small}" {{}}\n  models "{large}" {{}}'
    provider = f'providers "here" {{\n  wire = "local"\n  {models}\n}}\n'
    return f'default_model = "fast"\naliases {{\n  fast = "here/{small}"\n  strong = "here/{large}"\n}}\n{provider}{PATIENT}{SCOUT}'


def seed_on_local() -> str:
    """The seeds' models, by the same names, served by the local models."""
    small, large = LOCAL
    return f"""default_model = "openai/MiniMax-M2.7-highspeed"
providers "openai" {{
  wire = "local"
  models "MiniMax-M2.7-highspeed" {{ sent_as = "{small}" }}
  models "gpt-4o" {{ sent_as = "{large}" }}
}}
{PATIENT}"""


def readme_blocks() -> list[str]:
    """The Python blocks of the README between `## Library` and the next heading of its kind."""
    _, _, rest = README.read_text(encoding="utf-8").partition("\n## Library\n")
    return BLOCK.findall(re.split(r"^## ", rest, flags=re.MULTILINE)[0])
