"""The base of the file tools' arguments: forgiving about what weak models get wrong in form, strict about what is meant."""

from __future__ import annotations

import json
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, model_validator

PATH_NAMES = AliasChoices("path", "file_path", "filepath", "file", "filename", "file_name", "target_file")
FOLDER_NAMES = AliasChoices("path", "dir_path", "directory", "dir", "folder", "file_path")


class Arguments(BaseModel):
    """Unknown names are refused, a null is an argument left out, and a number written as a string is a number.

    The schema is built at first use (`defer_build`), for a start pays for it otherwise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


def listed(value: Any) -> Any:
    """A list that a model wrote as JSON text, or one object where a list of one was meant; anything else as it is."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
    return [value] if isinstance(value, dict) else value
