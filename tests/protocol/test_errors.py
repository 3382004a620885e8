"""The tree of errors, as programs meet it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from agentcli.protocol import errors


@pytest.mark.parametrize(
    "error",
    [
        errors.UnknownModel("fsat", ("fast",)),
        errors.ConfigError("no such key.", file="agent.hcl", row=3, column=7, hint="Remove it."),
        errors.RateLimited("slow down.", provider="house", status=429, retry_after=2.5),
        errors.UnknownAgent("scuot", ("scout",)),
    ],
)
@pytest.mark.parametrize("through", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_an_error_crosses_processes_with_all_it_carries(error: errors.AgentError, through: Callable[[errors.AgentError], errors.AgentError]) -> None:
    error.result = "what there was"
    other = through(error)
    assert (type(other), str(other), other.line(), vars(other)) == (type(error), str(error), error.line(), vars(error))
