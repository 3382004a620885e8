"""A typed function as a tool: its schema, its run, its permission."""

from __future__ import annotations

import asyncio
import re
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from support.library import scripted
from support.toolbox import answer, context

from agentcli import ApprovalAsked, AsyncSession, ToolContext, ToolError, ToolFinished, ToolOutcome, UsageError, tool
from agentcli.protocol.tools import Access, said
from agentcli.sdk.own_tools import read_docstring

Play = Callable[..., Any]


class Place(BaseModel):
    name: str
    floor: int = 0


class Odd:
    pass


class Hue(Enum):
    RED = "red"


@dataclass
class Spot:
    x: int
    hue: Hue = Hue.RED


class Shop:
    def __init__(self, cents: int) -> None:
        self.cents = cents

    def price(self, count: int) -> str:
        """Tells the price."""
        return str(self.cents * count)

    async def __call__(self, count: int) -> str:
        """Buys."""
        return f"{count} bought"


@tool
def weather(city: str, days: int = 1, unit: Literal["c", "f"] = "c") -> str:
    """Tells the weather.

    Asks nobody.

    Args:
        city: Name of the city,
            as its people write it.
        days (int): How many days ahead.

    Returns:
        One line.
    """
    return f"{city} in {days}: 20 {unit}"


def test_name_description_and_schema_come_from_the_function() -> None:
    assert (weather.name, weather.description) == ("weather", "Tells the weather.\n\nAsks nobody.")
    assert weather.schema() == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city, as its people write it."},
            "days": {"type": "integer", "default": 1, "description": "How many days ahead."},
            "unit": {"type": "string", "enum": ["c", "f"], "default": "c"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert weather("Rome", days=2) == "Rome in 2: 20 c"


def test_nested_models_annotated_and_sphinx_descriptions_are_taken() -> None:
    @tool
    def go(place: Place, how: Annotated[str, Field(description="on foot, say")], why: str | None = None) -> str:
        """Goes.

        :param place: where to
        :param how: not this
        :param why: the reason
        """
        return f"{type(place).__name__} {place.name} {how} {why}"

    properties = go.schema()["properties"]
    assert isinstance(properties, dict)
    assert [properties[name]["description"] for name in ("place", "how", "why")] == ["where to", "on foot, say", "the reason"]
    assert answer(go, context(Path()), place={"name": "home"}, how="slowly") == "Place home slowly None"


@pytest.mark.parametrize(
    ("text", "about", "told"),
    [
        ("", "", {}),
        ("One line.", "One line.", {}),
        ("Does.\n\nArgs:\n    a: first\n    b (str, optional): second: with a colon\n\n    c: third\nRaises:\n    ValueError: never", "Does.",
         {"a": "first", "b": "second: with a colon", "c": "third"}),
        ("Does.\n\n:param str a: first\n    and more\n:param b: second\n:returns: x", "Does.", {"a": "first and more", "b": "second"}),
    ],
)  # fmt: skip
def test_docstrings_are_read(text: str, about: str, told: dict[str, str]) -> None:
    assert read_docstring(text) == (about, told)


def test_functions_that_no_model_could_call_are_refused() -> None:
    def untyped(a) -> str:  # type: ignore[no-untyped-def]
        """x"""
        return str(a)

    def many(*names: str) -> str:
        """x"""
        return str(names)

    def silent(a: str) -> str:
        return a

    def odd(a: Odd) -> str:
        """x"""
        return str(a)

    def callback(a: Callable[[], None]) -> str:
        """x"""
        return str(a)

    def hidden(_a: int) -> str:
        """x"""
        return str(_a)

    refused: list[tuple[Any, str]] = [
        (untyped, "'a' has no type"), (many, "names: 'str'"), (silent, "no description"), (odd, "cannot be described"), (callback, "cannot be described"),
        (hidden, "'_a' begins with an underscore"), (Shop.price, r"'self' has no type. Of a method make one with tool\(object.method\)"),
        (Place, "made of a function, not of <class"), (3, "made of a function, not of 3"), (Shop(1), "cannot be a tool's name"),
    ]  # fmt: skip
    for function, said_so in refused:
        with pytest.raises(UsageError) as caught:
            tool(function)
        assert re.search(said_so, caught.value.line())
    with pytest.raises(UsageError, match="cannot be a tool's name"):
        tool(name="two words")(silent)
    with pytest.raises(UsageError, match="no parameter 'pth'"):
        tool(description="x", reads=["pth"])(silent)


def test_methods_partials_and_objects_that_are_called_make_tools_too() -> None:
    def add(a: int, b: int, c: int = 0) -> int:
        """Adds."""
        return a + b + c

    price, plus, buy = tool(Shop(250).price), tool(partial(add, 1, c=5)), tool(name="buy")(Shop(1))
    assert [(one.name, one.description) for one in (price, plus, buy)] == [("price", "Tells the price."), ("add", "Adds."), ("buy", "Buys.")]
    assert [answer(price, context(Path()), count=2), answer(plus, context(Path()), b=2), answer(buy, context(Path()), count=3)] == [
        "500",
        "8",
        "3 bought",
    ]


def test_dataclasses_enums_and_names_that_pydantic_uses_itself_are_good_parameters() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        @tool
        def put(spot: Spot, schema: str, model_id: int, copy: bool = False, ctx: ToolContext | None = None) -> str:
            """Puts."""
            return f"{spot} {schema} {model_id} {copy} {ctx is not None}"

    assert sorted(put.schema()["properties"]) == ["copy", "model_id", "schema", "spot"]  # type: ignore[call-overload]
    told = answer(put, context(Path()), spot={"x": 1, "hue": "red"}, schema="s", model_id=2)
    assert told == f"{Spot(1)} s 2 False True"


def test_name_and_description_may_be_given_instead() -> None:
    @tool(name="sky", description="Looks up.")
    def anything() -> None:
        pass

    assert (anything.name, anything.description, answer(anything, context(Path()))) == ("sky", "Looks up.", "Done.")


def test_what_a_function_gives_is_told_as_text_or_json() -> None:
    values: list[Any] = [
        "text", 3, {"a": {1, 2}}, [Place(name="x")], Place(name="y", floor=2), said("own"), None, b"caf\xc3\xa9 \xff", iter([1, "é"]), Spot(1, Hue.RED),
        {(1, 2): Path("a"), "at": date(2026, 1, 2)}, Odd,
    ]  # fmt: skip

    @tool
    def give(number: int) -> object:
        """Gives."""
        return values[number]

    told = [answer(give, context(Path()), number=number) for number in range(len(values))]
    assert told == [
        "text", "3", '{"a": [1, 2]}', '[{"name": "x", "floor": 0}]', '{"name": "y", "floor": 2}', "own", "Done.", "café \ufffd", '[1, "é"]',
        '{"x": 1, "hue": "red"}', '{"1,2": "a", "at": "2026-01-02"}', f'"{Odd}"',
    ]  # fmt: skip


def test_what_a_generator_gives_is_gathered_where_it_may_block() -> None:
    @tool
    def count() -> Iterator[str]:
        """Counts."""
        yield threading.current_thread().name

    @tool
    async def count_beside() -> AsyncIterator[int]:
        """Counts."""
        yield 1
        await asyncio.sleep(0)
        yield 2

    assert threading.current_thread().name not in answer(count, context(Path()))
    assert answer(count_beside, context(Path())) == "[1, 2]"


def test_an_async_function_is_awaited_and_another_runs_in_a_thread_of_its_own() -> None:
    @tool
    async def awaited() -> str:
        """Awaits."""
        await asyncio.sleep(0)
        return threading.current_thread().name

    @tool
    def blocking() -> str:
        """Blocks."""
        return str(threading.current_thread() is threading.main_thread())

    assert (answer(awaited, context(Path())), answer(blocking, context(Path()))) == ("MainThread", "False")


def test_the_context_is_given_and_no_part_of_the_schema() -> None:
    @tool
    def where(ctx: ToolContext, suffix: str = "") -> ToolOutcome:
        """Says where."""
        return said(f"{ctx.cwd}{suffix}")

    assert where.schema()["properties"] == {"suffix": {"type": "string", "default": ""}}
    assert answer(where, context(Path()), suffix="!") == f"{Path.cwd().resolve()}!"


def test_paths_are_judged_and_anything_else_is_not_known() -> None:
    @tool(reads="source", writes=["targets"])
    def copy(source: str, targets: list[str], note: str = "") -> str:
        """Copies."""
        return "ok"

    assert copy.access(copy.args(source="a", targets=["b", "c"])) == Access(reads=("a",), writes=("b", "c"))
    assert weather.access(weather.args(city="x")) == Access()
    assert weather.title(weather.args(city="x" * 80)) == f"city='{'x' * 58}…, days=1, unit='c'"


def call(**arguments: Any) -> dict[str, Any]:
    return {"calls": [{"name": "weather", "arguments": arguments}]}


def test_a_model_calls_it_where_it_is_allowed_and_is_told_what_it_gave(play: Play) -> None:
    async def scene(session: AsyncSession) -> tuple[str, list[str]]:
        result = await session.send("weather?")
        return result.text, [part.results[0].text() for part in session.history if hasattr(part, "results")]

    said_by_tool = play(scripted([call(city="Rome"), "sunny"]), scene, own_tools=[weather], allowed_tools=["weather"])
    assert said_by_tool == ("sunny", ["Rome in 1: 20 c"])


def test_without_a_rule_it_is_denied_and_listed_and_with_a_callback_asked(play: Play) -> None:
    asked: list[ApprovalAsked] = []

    def approve(question: ApprovalAsked) -> bool:
        asked.append(question)
        return True

    denied = play(scripted([call(city="Rome"), "no"]), lambda session: session.send("x"), own_tools=[weather])
    allowed = play(scripted([call(city="Rome"), "yes"]), lambda session: session.send("x"), own_tools=[weather], on_approval=approve)
    assert (len(denied.denials), allowed.denials) == (1, ()) and "weather" in denied.denials[0]
    assert [(one.tool, one.title) for one in asked] == [("weather", "city='Rome', days=1, unit='c'")]


def test_a_path_it_names_is_held_to_the_workspace(play: Play) -> None:
    @tool(writes=["path"])
    def note(path: str) -> str:
        """Notes."""
        Path(path).write_text("x")
        return "noted"

    def calls(path: str) -> dict[str, Any]:
        return {"calls": [{"name": "note", "arguments": {"path": path}}]}

    result = play(scripted([calls("in.txt"), calls("../out.txt"), "done"]), lambda session: session.send("x"), own_tools=[note])
    assert Path("in.txt").exists() and not Path("../out.txt").exists()
    assert len(result.denials) == 1


def test_workers_have_it_too_and_a_deny_outranks(play: Play) -> None:
    async def scene(session: AsyncSession) -> tuple[str, tuple[str, ...]]:
        result = await session.task("general", "weather?")
        return result.tool_calls[0].name, result.denials

    options: dict[str, Any] = {"own_tools": [weather], "allowed_tools": ["weather"]}
    assert play(scripted([call(city="Rome"), "sunny"]), scene, **options) == ("weather", ())
    name, denials = play(scripted([call(city="Rome"), "hm"], more='permissions { deny = ["weather"] }'), scene, **options)
    assert name == "weather" and len(denials) == 1


def test_what_it_raises_is_told_to_the_model_and_the_run_goes_on(play: Play) -> None:
    @tool
    def fails(how: str) -> str:
        """Fails."""
        if how == "exit":
            raise SystemExit(3)
        if how == "stop":
            raise StopIteration
        raise ToolError("mend the city") if how == "mend" else ValueError("boom")

    async def scene(session: AsyncSession) -> list[str]:
        told: list[str] = []
        session.listen(lambda envelope: told.append(envelope.event.result.text()) if isinstance(envelope.event, ToolFinished) else None)
        assert str(await session.send("x")) == "done"
        return told

    calls = {"calls": [{"name": "fails", "arguments": {"how": how}} for how in ("mend", "boom", "exit", "stop")]}
    told = play(scripted([calls, "done"]), scene, own_tools=[fails], allowed_tools=["fails"])
    assert sorted(told) == [
        "fails failed inside: RuntimeError: StopIteration: ", "fails failed inside: RuntimeError: SystemExit: 3",
        "fails failed inside: ValueError: boom", "mend the city",
    ]  # fmt: skip


def test_a_blocking_tool_does_not_hold_up_other_calls_nor_a_cancel(play: Play) -> None:
    release = threading.Event()

    @tool
    def block() -> str:
        """Blocks."""
        release.wait(20)
        return "free"

    async def scene(session: AsyncSession) -> str:
        running = asyncio.create_task(session.send("x"))
        there = asyncio.Event()
        session.listen(lambda envelope: there.set() if type(envelope.event).__name__ == "ToolStarted" else None)
        await there.wait()
        beside = await session.task("explore", "y")
        await session.cancel()
        running.exception()
        return str(beside)

    steps = [{"agent": "main", "calls": [{"name": "block"}]}, {"agent": "explore", "text": "beside"}]
    try:
        assert play(scripted(steps), scene, own_tools=[block], allowed_tools=["block"]) == "beside"
    finally:
        release.set()
