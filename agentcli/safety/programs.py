"""What known programs do with their words: which only read, which files they name, which options make them run something else, what is
dangerous or goes to the network. Knowledge, not decisions; a program that is not here is unknown, not harmless.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from agentcli.safety.gits import git_use
from agentcli.safety.scripts import awk_use, sed_use
from agentcli.safety.use import NOTHING, Use, clusters, maybe_option, operands, unsure
from agentcli.safety.words import Word
from agentcli.safety.wrappers import OTHER_SHELLS, PRIVILEGED, SHELLS, program_name
