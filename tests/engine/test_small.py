"""How an ordinary request becomes constrained steps for a small model, and its text a call again."""

from __future__ import annotations

import json

import jsonschema
import pytest

from agentcli.engine import prompt, schema, small
from agentcli.protocol.messages import AssistantMessage, Message, Text, ToolCall, ToolMessage, ToolResult, user_text
from agentcli.protocol.models import ModelSpec
from agentcli.providers.base import ModelRequest, ToolSpec

TEXT = {"type": "string"}
READ = ToolSpec("read", "Read a file.", {"type": "object", "properties": {"path": TEXT, "offset": {"type": "integer"}}, "required": ["path"]})
WRITE = ToolSpec("write", "Write a file.", {"type": "object", "properties": {"path": TEXT, "content": TEXT}, "required": ["path", "content"]})
BASH = ToolSpec("bash", "Run a command.", {"type": "object", "properties": {"command": TEXT}, "required": ["command"]})
EDIT = ToolSpec(
    "edit",
    "Replace text.",
    {
        "type": "object",
        "properties": {"path": TEXT, "edits": {"type": "array", "items": {"$ref": "#/$defs/Replacement"}}},
        "required": ["path", "edits"],
        "$defs": {"Replacement": {"type": "object", "properties": {"old": TEXT, "new": TEXT}, "required": ["old", "new"]}},
    },
)
TOOLS = (READ, WRITE, BASH, EDIT)
MODEL = ModelSpec("local", "small", "local", context=8192)


def asked(*messages: Message, tools: tuple[ToolSpec, ...] = TOOLS, system: str = "", **more: object) -> ModelRequest:
    return ModelRequest(model=MODEL, messages=messages, system=system, tools=tools, **more)  # type: ignore[arg-type]


def did(number: int, name: str, arguments: dict[str, object], result: str, *, failed: bool = False, mark: str = "") -> tuple[Message, Message]:
    """A step and what it brought."""
    call = ToolCall(f"c{number}{mark}", name, json.dumps(arguments))
    return AssistantMessage((call,), "tool_calls"), ToolMessage((ToolResult(call.id, name, (Text(result),), failed),))


def wrote(step: object) -> AssistantMessage:
    return AssistantMessage((Text(step if isinstance(step, str) else json.dumps(step)),))


def fits(step: dict[str, object], request: ModelRequest) -> bool:
    return jsonschema.Draft202012Validator(small.step_request(request).schema or {}).is_valid(step)


def read_back(step: object, *messages: Message) -> ToolCall | None:
    return small.read_step(wrote(step), "next", asked(*messages))


def test_a_step_may_be_any_offered_tool_with_its_few_arguments_or_the_wish_to_answer() -> None:
    request = asked(user_text("Hi"))
    good: list[dict[str, object]] = [
        {"tool": "read", "path": "a"},
        {"tool": "write", "path": "a", "content": "b"},
        {"tool": "bash", "command": "ls"},
        {"tool": "edit", "path": "a", "old": "b", "new": "c"},
        {"tool": "answer"},
    ]
    bad: list[dict[str, object]] = [
        {"tool": "read"},
        {"tool": "read", "path": "a", "offset": 1},
        {"tool": "glob", "pattern": "*"},
        {"tool": "answer", "text": "b"},
        {"path": "a"},
    ]
    assert [fits(step, request) for step in good] == [True] * 5
    assert [fits(step, request) for step in bad] == [False] * 5


def test_the_tools_name_stands_before_its_arguments_for_a_grammar_keeps_that_order() -> None:
    branches = small.step_request(asked(user_text("Hi"))).schema["anyOf"]  # type: ignore[index]
    assert [next(iter(branch["properties"])) for branch in branches] == ["tool"] * 5


def test_references_are_resolved_and_words_and_limits_left_out() -> None:
    parameters: dict[str, object] = {
        "type": "object",
        "properties": {"tasks": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Task"}}, "note": TEXT},
        "required": ["tasks"],
        "$defs": {
            "Task": {
                "type": "object",
                "properties": {"prompt": {"type": "string", "description": "Words.", "minLength": 1}, "model": TEXT},
                "required": ["prompt"],
            }
        },
    }
    request = small.step_request(asked(user_text("Hi"), tools=(ToolSpec("many", "Many.", parameters),)))
    task = {"type": "object", "properties": {"prompt": TEXT}, "required": ["prompt"], "additionalProperties": False}
    assert request.schema["anyOf"][0] == {  # type: ignore[index]
        "type": "object",
        "properties": {"tool": {"const": "many"}, "tasks": {"type": "array", "minItems": 1, "items": task}},
        "required": ["tool", "tasks"],
        "additionalProperties": False,
    }


def test_examples_are_shown_only_for_what_is_offered() -> None:
    request = small.step_request(asked(user_text("Hi"), tools=(READ,)))
    steps = [json.loads(message.text())["tool"] for message in request.messages if isinstance(message, AssistantMessage)]
    assert set(steps) == {"read", "answer"}
    assert "bash" not in request.system


def test_a_later_step_begins_with_all_of_the_step_before_so_that_a_runtime_can_reuse_it() -> None:
    first = asked(user_text("What is in a?"))
    second = asked(user_text("What is in a?"), *did(1, "read", {"path": "a"}, "1\tx"))
    third = asked(*second.messages, *did(2, "bash", {"command": "wc a"}, "1"))
    one, two, three = (small.step_request(request) for request in (first, second, third))
    assert one.system == two.system == three.system
    assert two.messages[: len(one.messages)] == one.messages
    assert three.messages[: len(two.messages)] == two.messages


def test_the_history_is_plain_text_in_turns() -> None:
    messages = (
        user_text("What is in a?"),
        *did(1, "read", {"path": "a"}, "1\tx"),
        AssistantMessage((Text("An x."),)),
        user_text("And b?"),
        *did(2, "read", {"path": "b"}, "no such file", failed=True),
    )
    request = asked(*messages)
    examples = len(small.step_request(asked(user_text("What is in a?"))).messages) - 1
    assert small.step_request(request).messages[examples:] == (
        user_text("What is in a?"),
        wrote({"tool": "read", "path": "a"}),
        user_text("read result:\n1\tx"),
        wrote({"tool": "answer", "text": "An x."}),
        user_text("And b?"),
        wrote({"tool": "read", "path": "b"}),
        user_text("read failed:\nno such file"),
    )


def test_two_user_messages_in_a_row_become_one_turn() -> None:
    turns = small.step_request(asked(user_text("One"), user_text("Two"))).messages
    assert turns[-1] == user_text("One\n\nTwo")
    assert isinstance(turns[-2], AssistantMessage)


def test_the_general_prompt_is_left_out_and_the_sessions_own_words_stay() -> None:
    system = f"{prompt.BASE}\n\n{prompt.WORKER}\n\nFolder: /here\n\nInstructions from AGENTS.md:\nUse tabs."
    step = small.step_request(asked(user_text("Hi"), system=system))
    assert prompt.BASE not in step.system
    assert prompt.WORKER not in step.system
    assert step.system.endswith("Folder: /here\n\nInstructions from AGENTS.md:\nUse tabs.")


def test_long_instructions_requests_and_results_are_cut_in_the_middle() -> None:
    request = asked(user_text("q" * 50_000), *did(1, "read", {"path": "a"}, "HEAD" + "r" * 50_000 + "TAIL"), system="s" * 50_000)
    for made in (small.step_request(request), small.answer_request(request)):
        told = made.system + "".join(message.text() for message in made.messages if not isinstance(message, ToolMessage))
        assert len(told) < MODEL.context * small.CHARS_PER_TOKEN  # type: ignore[operator]
        assert "HEAD" in told
        assert "TAIL" in told
        assert "characters left out" in told


def test_a_conversation_too_long_for_the_model_keeps_the_latest_run() -> None:
    runs: list[Message] = []
    for number in range(40):
        runs += [user_text(f"Question {number}"), *did(number, "read", {"path": f"f{number}"}, "r" * 9000), AssistantMessage((Text("a" * 900),))]
    request = asked(*runs, user_text("The last one"))
    step = small.step_request(request)
    assert step.messages[-1] == user_text("The last one")
    assert "Question 3\n" not in str(step.messages)
    assert len(step.system) + sum(len(m.text()) for m in step.messages if not isinstance(m, ToolMessage)) < 8192 * 3


def test_a_step_is_read_as_the_call_it_asks_for() -> None:
    assert read_back({"tool": "read", "path": "ä.txt"}, user_text("Hi")) == ToolCall("next", "read", '{"path": "ä.txt"}')


@pytest.mark.parametrize(
    "text", ['{"tool": "answer"}', '{"tool": "nope"}', '{"path": "a"}', "[1]", "words", '{"tool": "write", "content": "cut o', ""]
)
def test_what_is_no_whole_call_of_an_offered_tool_means_answer(text: str) -> None:
    assert small.read_step(wrote(text), "next", asked(user_text("Hi"))) is None


def test_the_same_call_again_forces_the_answer() -> None:
    done = did(1, "read", {"path": "a"}, "x")
    assert read_back({"tool": "read", "path": "a"}, user_text("Hi"), *done) is None
    assert read_back({"tool": "read", "path": "b"}, user_text("Hi"), *done) is not None


def test_in_a_new_run_the_same_call_is_no_repetition() -> None:
    assert read_back({"tool": "read", "path": "a"}, user_text("Hi"), *did(1, "read", {"path": "a"}, "x"), user_text("Again")) is not None


def test_a_notice_of_agentcli_itself_starts_no_new_run() -> None:
    notice = user_text("Answer again.", "system")
    assert read_back({"tool": "read", "path": "a"}, user_text("Hi"), *did(1, "read", {"path": "a"}, "x"), notice) is None


def test_after_a_change_the_tests_may_be_run_again_but_not_for_ever() -> None:
    run = (user_text("Mend it"), *did(1, "bash", {"command": "pytest"}, "failed"), *did(2, "write", {"path": "a", "content": "x"}, "Created"))
    assert read_back({"tool": "bash", "command": "pytest"}, *run) is not None
    run = (*run, *did(3, "bash", {"command": "pytest"}, "failed"), *did(4, "write", {"path": "a", "content": "y"}, "Wrote"))
    assert read_back({"tool": "bash", "command": "pytest"}, *run) is not None
    run = (*run, *did(5, "bash", {"command": "pytest"}, "failed"), *did(6, "write", {"path": "a", "content": "z"}, "Wrote"))
    assert read_back({"tool": "bash", "command": "pytest"}, *run) is None


def test_a_failed_call_may_come_again_only_after_something_else() -> None:
    failed = did(1, "write", {"path": "a", "content": "x"}, "read it first", failed=True)
    again = {"tool": "write", "path": "a", "content": "x"}
    assert read_back(again, user_text("Hi"), *failed) is None
    assert read_back(again, user_text("Hi"), *failed, *did(2, "read", {"path": "a"}, "y")) is not None


def test_a_file_just_written_is_not_written_over_with_the_tools_own_result() -> None:
    written = did(1, "write", {"path": "a", "content": "x"}, "Created a: 1 line.")
    assert read_back({"tool": "write", "path": "a", "content": "Created a: 1 line."}, user_text("Hi"), *written) is None
    assert read_back({"tool": "write", "path": "b", "content": "x"}, user_text("Hi"), *written) is not None


def test_a_run_of_many_different_calls_ends_in_an_answer() -> None:
    run = [message for number in range(small.MOST_STEPS) for message in did(number, "read", {"path": f"f{number}"}, "x")]
    assert read_back({"tool": "read", "path": "one more"}, user_text("Hi"), *run) is None


def test_an_edit_of_a_file_not_seen_becomes_a_look_and_then_only_the_edit_is_offered() -> None:
    look = read_back({"tool": "edit", "path": "a", "old": "x", "new": "y"}, user_text("Hi"))
    assert look == ToolCall("next-look", "read", '{"path": "a"}')
    request = asked(user_text("Hi"), *did(1, "read", {"path": "a"}, "1\tx", mark="-look"))
    assert fits({"tool": "edit", "path": "a", "old": "x", "new": "y"}, request)
    assert not fits({"tool": "answer"}, request)
    edit = small.read_step(wrote({"tool": "edit", "path": "a", "old": "x", "new": "y"}), "next", request)
    assert edit == ToolCall("next", "edit", '{"path": "a", "old": "x", "new": "y"}')


def test_a_look_that_fails_is_not_taken_again_and_leaves_all_tools() -> None:
    run = (user_text("Hi"), *did(1, "read", {"path": "a"}, "no such file", failed=True, mark="-look"))
    assert fits({"tool": "answer"}, asked(*run))
    assert read_back({"tool": "edit", "path": "a", "old": "x", "new": "y"}, *run) is None


def test_the_answer_is_asked_for_without_steps_with_the_results_first_and_the_request_last() -> None:
    request = asked(
        user_text("Hello"),
        AssistantMessage((Text("Hello you."),)),
        user_text("What is in a?"),
        *did(1, "read", {"path": "a"}, "1\tx"),
        system=f"{prompt.BASE}\n\nFolder: /here",
    )
    made = small.answer_request(request)
    assert made.messages == (user_text("Hello"), wrote("Hello you."), user_text("[read a]\n1\tx\n\nWhat is in a?"))
    assert made.system.endswith("from what your tools brought.\n\nFolder: /here")
    assert (made.tools, made.schema) == ((), None)


@pytest.mark.parametrize(
    ("name", "failed", "end"),
    [
        ("write", False, "Say in one sentence what was done for the request: Make it"),
        ("bash", False, "Say in one sentence what came out of the request: Make it"),
        ("edit", True, "That failed. Say in one sentence that it failed, and why."),
        ("read", False, "\n\nMake it"),
    ],
)
def test_the_end_of_the_request_for_an_answer_fits_what_was_done(name: str, failed: bool, end: str) -> None:
    made = small.answer_request(asked(user_text("Make it"), *did(1, name, {"path": "a"}, "x", failed=failed)))
    assert str(made.messages[-1].text()).endswith(end)  # type: ignore[union-attr]


def test_without_tools_used_the_question_stands_alone() -> None:
    assert small.answer_request(asked(user_text("Who wrote Hamlet?"))).messages == (user_text("Who wrote Hamlet?"),)


def test_an_asked_for_schema_binds_the_answer_and_not_the_steps() -> None:
    wanted: dict[str, object] = {"type": "object", "properties": {"n": {"type": "integer"}}}
    request = asked(user_text("How many?"), system=schema.told(f"{prompt.BASE}\n\nFolder: /here", wanted), schema=wanted)
    step, answer = small.step_request(request), small.answer_request(request)
    assert "anyOf" in (step.schema or {})
    assert "final answer" not in step.system
    assert answer.schema == wanted
    assert str(answer.messages[-1].text()).startswith("How many?\n\nYour final answer must be one JSON object")  # type: ignore[union-attr]
