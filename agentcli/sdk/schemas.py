"""What an answer must fit, as a program says it: a pydantic model or a JSON schema; checked, handed on, and made an instance again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentcli.engine.schema import flaw
from agentcli.engine.stream import failure_of
from agentcli.protocol.errors import OutputInvalid, UsageError
from agentcli.protocol.events import Failure
from agentcli.protocol.tools import inline_refs, tidy_schema

if TYPE_CHECKING:
    from agentcli.sdk.options import OutputSchema


def as_schema(given: Any) -> Any:
    """What was given, where it is one.

    Raises:
        UsageError: it is neither a pydantic model nor a JSON schema, or a JSON schema that is none.
    """
    if isinstance(given, dict):
        check_schema(given, "output_schema")
    elif given is not None and not _is_model(given):
        hint = "Put a list or a plain type into a model with one field."
        raise UsageError(f"output_schema is a pydantic model (the class) or a JSON schema (a dict), not {given!r:.60}.", hint=hint)
    return given


def check_schema(schema: dict[str, Any], name: str) -> None:
    """Raises UsageError where it is no JSON schema; `name` is what it was given as."""
    if wrong := flaw(schema):
        raise UsageError(f"{name}: no valid JSON schema: {wrong}.")


def json_schema(schema: OutputSchema | None) -> dict[str, object] | None:
    """What the model and the check of its answer are given."""
    if schema is None or isinstance(schema, dict):
        return schema
    return tidy_schema(inline_refs(schema.model_json_schema()))


def fitted(schema: OutputSchema | None, value: object) -> tuple[Any, Failure | None]:
    """`value` as an instance of the asked-for pydantic model, where it was one; or what is wrong with it beyond the JSON schema."""
    if value is None or schema is None or isinstance(schema, dict):
        return value, None
    from pydantic import ValidationError

    try:
        return schema.model_validate(value), None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or schema.__name__
        return None, failure_of(OutputInvalid(f"the answer does not fit {schema.__name__}: {place}: {first['msg']}."))


def _is_model(given: object) -> bool:
    from pydantic import BaseModel

    return isinstance(given, type) and issubclass(given, BaseModel)
