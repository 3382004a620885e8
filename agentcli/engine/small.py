"""How a small model is spoken to: each step is one JSON object (a tool call or the wish to answer), then the answer is free text.

Pure functions from an ordinary request to a constrained one and back. The history becomes plain text turns whose beginning stays the same
from step to step, so that a local runtime can reuse what it has already read. Nothing here knows which wire serves the model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import msgspec

from agentcli.engine import prompt, schema
from agentcli.engine import small_prompt as words
from agentcli.engine.small_prompt import ANSWER
from agentcli.protocol.messages import AssistantMessage, Message, Text, ToolCall, ToolMessage, ToolResult, UserMessage, user_text
from agentcli.providers.base import ModelRequest, ToolSpec

STEP_TOKENS = 1024
"""Most tokens of one step: a file of some 100 lines. A step that runs past it is no call."""
ANSWER_TOKENS = 1024
RESULT_CHARS = (3000, 1000, 300)
"""Most characters of one tool result: about 900 tokens, which two cores read in about 7 s. The lower ones serve where the context is short."""
REQUEST_CHARS = 12_000
"""Most characters of one message of a person (a piped file, say)."""
INSTRUCTION_CHARS = 1500
"""Most characters of the session's own instructions in the short prompt."""
CHARS_PER_TOKEN = 3
"""Deliberately few, so that code and numbers still fit."""
SMALL_CONTEXT = 8192
MOST_STEPS = 16
"""Calls in one run after which the answer is forced: past this a small model only goes round in circles."""
MOST_ALIKE = 3
TALK_CHARS = 1000
"""Most characters of an earlier answer, or of a person's word before it."""
MOST_TALK = 8
LOOKED = "-look"
"""Ends the id of a call that looks at a file before it is edited."""
SEEING = frozenset({"read", "write", "edit"})
CHANGING = frozenset({"write", "edit", "bash", "task"})
"""After one of these, a call made before may bring something new."""
USEFUL: dict[str, tuple[str, ...]] = {"edit": ("path", "old", "new"), "ls": ("path",)}
"""The arguments offered, where they are not just the required ones. `edit` takes one replacement beside its path."""


def step_request(request: ModelRequest) -> ModelRequest:
    """The same request, to be answered by one object: a tool with its arguments, or `answer`."""
    return msgspec.structs.replace(
        request,
        system=_system(request),
        messages=(*_examples(request), *_turns(request)),
        tools=(),
        max_tokens=min(request.max_tokens or STEP_TOKENS, STEP_TOKENS),
        schema=step_schema(request),
    )


def answer_request(request: ModelRequest) -> ModelRequest:
    """The request for the answer itself: free text, or what the request's own schema demands.

    A conversation of its own, without steps and examples: asked in the middle of them, small models went on writing steps, or said the
    request back. What the tools brought comes first and the request last, for the last is what they follow.
    """
    general = words.ANSWERING if any(isinstance(message, ToolMessage) for message in _this_run(request.messages)) else words.PLAIN
    room = _room(request) - len(general)
    limit = next((limit for limit in RESULT_CHARS if len(_closing(request, limit)) <= room), RESULT_CHARS[-1])
    closing = user_text(_closing(request, limit))
    own = _own_words(request)
    return msgspec.structs.replace(
        request,
        system=f"{general}\n\n{own}" if own else general,
        messages=(*_earlier_talk(request, room - len(closing.text())), closing),
        tools=(),
        max_tokens=min(request.max_tokens or ANSWER_TOKENS, ANSWER_TOKENS),
    )


def read_step(message: AssistantMessage, call_id: str, request: ModelRequest) -> ToolCall | None:
    """The call that a step asks for; None where it wants to answer, is no whole object, or asks again for what it already got.

    An edit of a file not yet seen becomes a look at it, and the edit is asked for again with the file in view: small models edit from memory.
    """
    try:
        step = msgspec.json.decode(message.text(), type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError):
        return None
    name = step.pop("tool", None)
    offered = {tool.name for tool in request.tools}
    if not isinstance(name, str) or name not in offered:
        return None
    call = ToolCall(call_id, name, json.dumps(step, ensure_ascii=False))
    if name == "edit" and "read" in offered and not _has_seen(step.get("path"), request.messages):
        call = ToolCall(f"{call_id}{LOOKED}", "read", json.dumps({"path": step.get("path")}))
    return None if _is_pointless(call, _this_run(request.messages)) else call


# --- looking before editing ---


def _has_seen(path: object, messages: Sequence[Message]) -> bool:
    """Whether a file was read or written: an edit of it will not be refused."""
    failed = _failed(messages)
    calls = (call for message in messages if isinstance(message, AssistantMessage) for call in message.calls())
    return any(call.name in SEEING and call.id not in failed and _arguments(call).get("path") == path for call in calls)


def _has_looked(messages: Sequence[Message]) -> bool:
    """Whether the last thing done was a look that took an edit's place."""
    match messages[-1]:
        case ToolMessage(results=(ToolResult(call_id=call_id, is_error=False),)):
            return call_id.endswith(LOOKED)
        case _:
            return False


def _failed(messages: Sequence[Message]) -> set[str]:
    return {result.call_id for message in messages if isinstance(message, ToolMessage) for result in message.results if result.is_error}


# --- loops ---


def _is_pointless(call: ToolCall, run: Sequence[Message]) -> bool:
    """Whether the call would only bring again what the run already has: made before, and nothing that could have changed its result since.

    A call that failed may come once more when something else was done in between (an edit refused until the file was read).
    """
    made = [earlier for message in run if isinstance(message, AssistantMessage) for earlier in message.calls()]
    alike = [index for index, earlier in enumerate(made) if _same(earlier, call)]
    if len(made) >= MOST_STEPS or len(alike) >= MOST_ALIKE:
        return True
    if not alike:
        return call.name == "write" and _was_just_written(call, made)
    since = made[alike[-1] + 1 :]
    if made[alike[-1]].id in _failed(run):
        return not since
    return not any(later.name in CHANGING for later in since)


def _was_just_written(call: ToolCall, made: Sequence[ToolCall]) -> bool:
    """Whether the same file was written and nothing else done since: a small model then writes the tool's result into it."""
    return bool(made) and made[-1].name == "write" and _arguments(made[-1]).get("path") == _arguments(call).get("path")


def _same(left: ToolCall, right: ToolCall) -> bool:
    return left.name == right.name and _arguments(left) == _arguments(right)


def _arguments(call: ToolCall) -> dict[str, object]:
    try:
        return msgspec.json.decode(call.arguments, type=dict[str, object])
    except (msgspec.MsgspecError, RecursionError):
        return {}


def _this_run(messages: Sequence[Message]) -> Sequence[Message]:
    """What came since the person (or a parent) last spoke."""
    return messages[_last_word(messages) :]


def _last_word(messages: Sequence[Message]) -> int:
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, UserMessage) and message.origin != "system":
            return index
    return 0


# --- the schema of a step ---


def step_schema(request: ModelRequest) -> dict[str, object]:
    """One branch for each tool, its name first: the model decides what to do before it writes any argument."""
    branches = {tool.name: _branch(tool.name, _offered(tool)) for tool in request.tools}
    if _has_looked(request.messages) and "edit" in branches:
        return branches["edit"]
    return {"anyOf": [*branches.values(), _branch(ANSWER, {})]}


def _branch(name: str, arguments: dict[str, object]) -> dict[str, object]:
    properties = {"tool": {"const": name}} | arguments
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _offered(tool: ToolSpec) -> dict[str, object]:
    """The arguments that a small model writes: the required ones or those of `USEFUL`, all demanded, in the order of the tool."""
    properties, required = tool.parameters.get("properties"), tool.parameters.get("required")
    known = properties if isinstance(properties, dict) else {}
    names = USEFUL.get(tool.name) or (required if isinstance(required, list) else ())
    return {name: _plain(known.get(name, {"type": "string"}), tool.parameters) for name in names if name != "tool"}


_KEPT = ("type", "enum", "const", "minItems")


def _plain(part: object, root: dict[str, object], depth: int = 4) -> dict[str, object]:
    """A schema without words, defaults and references: what a grammar needs."""
    if not isinstance(part, dict) or depth == 0:
        return {"type": "string"}
    if isinstance(reference := part.get("$ref"), str):
        return _plain(_referred(reference, root), root, depth - 1)
    plain: dict[str, object] = {key: part[key] for key in _KEPT if key in part}
    if isinstance(items := part.get("items"), dict):
        plain["items"] = _plain(items, root, depth - 1)
    if isinstance(properties := part.get("properties"), dict):
        needed = [name for name in properties if name in part.get("required", ())]
        plain["properties"] = {name: _plain(properties[name], root, depth - 1) for name in needed}
        plain |= {"required": needed, "additionalProperties": False}
    return plain or {"type": "string"}


def _referred(reference: str, root: dict[str, object]) -> object:
    place: object = root
    for name in reference.removeprefix("#/").split("/"):
        place = place.get(name) if isinstance(place, dict) else None
    return place


# --- the prompt ---


def _system(request: ModelRequest) -> str:
    tools = [words.tool_line(tool.name, list(_offered(tool)), tool.description) for tool in request.tools]
    tools.append(words.tool_line(ANSWER, (), "no file is needed, or all is known."))
    parts = [words.RULES, "Tools:\n" + "\n".join(tools)]
    if own := _own_words(request):
        parts.append(f"More about this session:\n{own}")
    return "\n\n".join(parts)


def _examples(request: ModelRequest) -> Iterator[Message]:
    for asked, step in words.example_turns([tool.name for tool in request.tools]):
        yield user_text(asked)
        yield AssistantMessage((Text(step),))


def _own_words(request: ModelRequest) -> str:
    """What the session's prompt says beyond the general part, which is too long for a small model."""
    text = request.system
    if request.schema is not None:
        text = text.removesuffix(schema.told("", request.schema))
    for general in (prompt.BASE, prompt.WORKER, prompt.DELEGATING):
        text = text.replace(general, "")
    return _cut(text.strip(), INSTRUCTION_CHARS)


# --- the answer ---


def _closing(request: ModelRequest, limit: int) -> str:
    """What the tools brought in this run, then the request, then what agentcli itself asked for since."""
    run = _this_run(request.messages)
    calls = {call.id: call for message in run if isinstance(message, AssistantMessage) for call in message.calls()}
    results = [result for message in run if isinstance(message, ToolMessage) for result in message.results]
    parts = [_brought(result, calls, limit) for result in results]
    asked = "\n\n".join(message.text() for message in run[:1] if isinstance(message, UserMessage))
    parts.append(_asked(_cut(asked, REQUEST_CHARS), results))
    parts += [message.text() for message in run[1:] if isinstance(message, UserMessage)]
    if request.schema is not None:
        parts.append(schema.told("", request.schema))
    return "\n\n".join(filter(None, parts))


def _asked(request: str, results: Sequence[ToolResult]) -> str:
    """The request as the answering model is to take it, by how the last call ended."""
    match results:
        case [*_, ToolResult(is_error=True)]:
            return words.FAILED
        case [*_, ToolResult(name="write" | "edit")]:
            return words.DONE + request
        case [*_, ToolResult(name="bash")]:
            return words.CAME_OUT + request
        case _:
            return request


def _brought(result: ToolResult, calls: dict[str, ToolCall], limit: int) -> str:
    call = calls.get(result.call_id)
    return words.brought(result.name, _arguments(call) if call else {}, _cut(result.text(), limit), failed=result.is_error)


def _earlier_talk(request: ModelRequest, room: int) -> tuple[Message, ...]:
    """What was said before this run, without steps: the latest that there is room for, a person's word first."""
    kept: list[Message] = []
    for message in reversed(request.messages[: _last_word(request.messages)]):
        if isinstance(message, ToolMessage) or not message.text().strip():
            continue
        text = _cut(message.text(), TALK_CHARS)
        room -= len(text)
        if room < 0 or len(kept) == MOST_TALK:
            break
        kept.insert(0, user_text(text) if isinstance(message, UserMessage) else AssistantMessage((Text(text),)))
    while kept and not isinstance(kept[0], UserMessage):
        kept.pop(0)
    return tuple(kept)


# --- the history as text ---


def _turns(request: ModelRequest) -> tuple[Message, ...]:
    """Messages of plain text, user and assistant in turn, short enough for the model: long results are shortened first, then old runs go."""
    room = _room(request) - len(_system(request)) - sum(map(_length, _examples(request)))
    for limit in RESULT_CHARS:
        turns = _flat(request.messages, limit)
        if sum(map(_length, turns)) <= room:
            return turns
    return _flat(_this_run(request.messages), RESULT_CHARS[-1])


def _room(request: ModelRequest) -> int:
    """Characters that a prompt may have beside an answer."""
    return ((request.model.context or SMALL_CONTEXT) - ANSWER_TOKENS) * CHARS_PER_TOKEN - len(_own_words(request))


def _length(message: Message) -> int:
    return 0 if isinstance(message, ToolMessage) else len(message.text())


def _flat(messages: Sequence[Message], limit: int) -> tuple[Message, ...]:
    turns: list[Message] = []
    for message in messages:
        match message:
            case UserMessage():
                _say(turns, _cut(message.text(), REQUEST_CHARS))
            case ToolMessage():
                _say(turns, "\n\n".join(_result(result, limit) for result in message.results))
            case AssistantMessage():
                if said := "\n".join(map(_step, message.calls())) or _answered(message.text()):
                    turns.append(AssistantMessage((Text(said),)))
    return tuple(turns)


def _say(turns: list[Message], text: str) -> None:
    """Adds to the user's turn, so that no two follow each other."""
    if turns and isinstance(last := turns[-1], UserMessage):
        text = f"{turns.pop() and last.text()}\n\n{text}"
    turns.append(user_text(text))


def _step(call: ToolCall) -> str:
    return words.step(call.name, _arguments(call))


def _answered(text: str) -> str:
    """An earlier answer, in the form of a step, so that all of the model's turns look alike."""
    return words.step(ANSWER, {"text": _cut(text, TALK_CHARS)}) if text.strip() else ""


def _result(result: ToolResult, limit: int) -> str:
    return words.result(result.name, _cut(result.text(), limit), failed=result.is_error)


def _cut(text: str, most: int) -> str:
    """The head and the tail of a long text, with a mark between."""
    if len(text) <= most:
        return text
    head = most * 3 // 4
    return f"{text[:head]}\n… ({len(text) - most} characters left out) …\n{text[-(most - head) :]}"
