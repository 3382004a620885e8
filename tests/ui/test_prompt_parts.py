"""What stands around the prompt, without a terminal: pastes, fuzzy names, pickers, questions, tables."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from agentcli.protocol.commands import Answer
from agentcli.ui.approve import Approval, Choice, Option, detail_of
from agentcli.ui.commands.tables import table
from agentcli.ui.fuzzy import ranked, with_folders
from agentcli.ui.items import Waiting
from agentcli.ui.lines import Line, cut, plain, width_of, worded, wrapped
from agentcli.ui.paste import BY_FILE, EMPTY, Pastes, is_picture_path, normal, refusal
from agentcli.ui.picker import Picked, Picker, Row


def on_loop(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def texts(lines: list[Line]) -> list[str]:
    return [plain(line).rstrip() for line in lines]


# --- pastes ---


def test_a_long_paste_becomes_a_mark_that_opens_again_and_two_of_one_size_stay_apart() -> None:
    pastes = Pastes()
    first, second = "\n".join(f"a{n}" for n in range(120)), "\n".join(f"b{n}" for n in range(120))
    marks = [pastes.fold(first), pastes.fold(second), pastes.fold(first)]
    assert marks == ["[pasted 120 lines]", "[pasted 120 lines #2]", "[pasted 120 lines]"]
    assert pastes.expand(f"see {marks[0]} and {marks[1]}, not [pasted 7 lines]") == f"see {first} and {second}, not [pasted 7 lines]"


def test_a_short_paste_stays_and_a_long_line_is_folded_by_its_characters() -> None:
    pastes = Pastes()
    assert pastes.fold("one\ntwo") == "one\ntwo"
    assert pastes.fold("x" * 5_000) == "[pasted 5000 characters]"


def test_a_mark_within_pasted_text_is_not_opened_in_turn() -> None:
    pastes = Pastes()
    inner = pastes.fold("\n".join("i" * 20))
    outer_text = "\n".join([inner, *"o" * 20])
    outer = pastes.fold(outer_text)
    assert pastes.expand(outer) == outer_text


def test_terminals_send_cr_for_the_breaks_of_a_paste() -> None:
    assert normal("a\rb\r\nc\nd") == "a\nb\nc\nd"


@pytest.mark.parametrize(
    ("pasted", "reason"),
    [("", EMPTY), ("\x89PNG\r\n\x1a\n…", BY_FILE), ("data:image/png;base64,iVBOR", BY_FILE), ("plain words", ""), ("  \n ", "")],
)
def test_pictures_are_refused_with_a_reason_and_text_is_not(pasted: str, reason: str) -> None:
    assert refusal(pasted) == reason


def test_the_path_of_a_dragged_picture_is_told_from_text_about_one() -> None:
    assert [is_picture_path(text) for text in ("/tmp/a b.png", "'/x/y.JPG'", "file:///x.webp", "look at /x/y.png please", "a.py")] == [
        True, True, True, False, False,
    ]  # fmt: skip


# --- names ---


def test_names_rank_by_where_the_letters_stand() -> None:
    names = ["src/parser.py", "src/parse/other.py", "tests/test_parser.py", "p/a/r/s/e.md", "README.md", "src/sparse.py"]
    assert ranked("pars", names) == ["src/parser.py", "src/sparse.py", "tests/test_parser.py", "src/parse/other.py", "p/a/r/s/e.md"]


def test_an_empty_query_gives_the_shallow_names_first_and_a_limit_holds() -> None:
    names = ["b/c/d.py", "z.py", "a.py", "b/x.py"]
    assert ranked("", names, most=3) == ["a.py", "z.py", "b/x.py"]


def test_letters_of_a_pattern_are_only_letters() -> None:
    assert ranked("a.b", ["axb", "a.b", "a-.-b"]) == ["a.b", "a-.-b"]


def test_folders_are_offered_once_each() -> None:
    assert sorted(with_folders(["a/b/c.py", "a/b/d.py", "e.py"])) == ["a/", "a/b/", "a/b/c.py", "a/b/d.py", "e.py"]


# --- lines ---


def test_a_line_is_cut_between_characters_also_wide_ones() -> None:
    line: Line = [("title", "模型の名前"), ("dim", " rest of it")]
    assert [plain(cut(line, width)) for width in (21, 10, 6, 5, 1, 0)] == ["模型の名前 rest of it", "模型の名…", "模型…", "模型…", "…", ""]


@pytest.mark.parametrize("width", range(30))
def test_no_cut_line_is_wider_than_asked(width: int) -> None:
    assert width_of(cut([("", "ab模型"), ("", "の名前 and more")], width)) <= width


def test_a_command_is_wrapped_without_losing_a_character() -> None:
    text = "make check && " + "x" * 50 + "\n\tsecond  line"
    assert wrapped(text, 20) == ["make check && xxxxxx", "x" * 20, "x" * 20, "xxxx", "    second  line"]


def test_a_table_pads_all_but_its_last_column() -> None:
    assert texts(table(("A", "B"), [("one", "a long last cell that is never cut"), ("three", "x")])) == [
        "A      B", "one    a long last cell that is never cut", "three  x",
    ]  # fmt: skip


# --- the picker ---


def picker(rows: list[Row] | None = None) -> Picker:
    return Picker(
        "Model of this session",
        rows
        or [
            Row("acme/big", ("acme/big", "Big One", "200k"), variants=("low", "high")),
            Row("acme/small", ("acme/small", "Small One", "32k")),
            Row("other/x", ("other/x", "X", "?"), off="needs its key"),
        ],
        head=("MODEL", "NAME", "CONTEXT"),
    )


def test_a_picker_shows_its_rows_and_what_keys_do_within_its_width() -> None:
    async def drawn() -> list[str]:
        return texts(picker().lines(60, 20))

    assert on_loop(drawn()) == [
        "Model of this session  search:",
        "  MODEL       NAME       CONTEXT  EFFORT",
        "› acme/big    Big One    200k     default",
        "  acme/small  Small One  32k",
        "  other/x     X          ?        needs its key",
        "Enter pick  ↑↓ move  ←→ effort  Esc close",
    ]


def test_typing_searches_arrows_choose_and_enter_picks_with_the_effort() -> None:
    async def picked() -> Picked | None:
        one = picker()
        for key, text in (("text", "b"), ("text", "x"), ("backspace", ""), ("down", ""), ("up", ""), ("right", ""), ("right", ""), ("enter", "")):
            one.press(key, text)
        return await one.answer

    assert on_loop(picked()) == Picked("acme/big", "high")


def test_picking_a_row_that_is_off_says_why_until_the_next_key() -> None:
    async def feet() -> list[str]:
        picker = Picker("Models", (Row("x/y", ("x/y",), off="no key", why_off="set X_API_KEY."),))
        feet = []
        for key in ("enter", "up"):
            picker.press(key)
            feet.append(texts(picker.lines(80, 10))[-1])
        return feet

    assert on_loop(feet()) == ["x/y cannot be picked: set X_API_KEY.", "Enter pick  ↑↓ move  Esc close"]


def test_a_row_without_its_key_is_not_picked_and_escape_picks_nothing() -> None:
    async def answers() -> tuple[bool, object]:
        one = picker()
        one.press("end")
        one.press("enter")
        undecided = one.answer.done()
        one.press("escape")
        return undecided, await one.answer

    assert on_loop(answers()) == (False, None)


def test_a_long_list_keeps_the_chosen_row_in_sight_and_counts_the_rest() -> None:
    async def drawn() -> list[str]:
        one = picker([Row(f"m{n}", (f"m{n:02}",)) for n in range(40)])
        one.press("pagedown")
        one.press("pagedown")
        return texts(one.lines(40, 9))

    shown = on_loop(drawn())
    assert len(shown) <= 9
    assert "› m24" in shown
    assert shown[-1].endswith("more")


def test_the_same_list_in_words_takes_a_number_or_words() -> None:
    async def told() -> tuple[list[str], list[bool], object]:
        one = picker()
        spoken = texts(one.spoken())
        took = [one.answered_by("3"), one.answered_by("small"), one.answered_by("1")]
        return spoken, took, await one.answer

    assert on_loop(told()) == (
        [
            "Model of this session",
            "1. acme/big, Big One, 200k",
            "2. acme/small, Small One, 32k",
            "3. other/x, X, ? (needs its key)",
            "Type a number, words to search for, or nothing to go back.",
        ],
        [False, False, True],
        Picked("acme/small"),
    )


def test_a_choice_takes_its_keys_enter_takes_the_first_and_escape_its_own() -> None:
    async def answers() -> list[str]:
        out = []
        for key, text in (("text", "D"), ("enter", ""), ("escape", "")):
            one = Choice("For how long?", (Option("s", "session", "this session"), Option("d", "default", "for good")), escape="nothing")
            one.press("text", "x")
            one.press(key, text)
            out.append(await one.answer)
        return out

    assert on_loop(answers()) == ["default", "session", "nothing"]


# --- approvals ---


def waiting(**changes: Any) -> Waiting:
    given: dict[str, Any] = {
        "request_id": "ask-1", "agent_id": "main/scout-2", "call_id": "c1", "who": "scout-2", "tool": "bash", "title": "t",
        "detail": "rm -rf build\nmake", "reason": "it removes build.", "touches": ("build",), "rule": "bash(rm -rf build)",
    }  # fmt: skip
    return Waiting(**{**given, **changes})


def approval(sent: list[Answer], **changes: Any) -> Approval:
    return Approval(waiting(**changes), lambda: 2, sent.append)


def test_a_question_shows_the_whole_command_what_it_touches_why_and_the_keys() -> None:
    assert texts(approval([]).lines(80, 20)) == [
        "scout-2 asks: bash   (2 more wait)",
        "  rm -rf build",
        "  make",
        "  touches  build",
        "  why      it removes build.",
        "  y once · s this session · a always: bash(rm -rf build) · n no, and why",
        "  Esc no",
    ]


def test_many_touched_files_are_cut_with_a_word_and_a_narrow_window_keeps_every_key() -> None:
    shown = texts(approval([], touches=tuple(f"changes file-{number:02}.txt" for number in range(40))).lines(40, 30))
    assert shown[3:7] == [
        "  touches  changes file-00.txt, changes",
        "           file-01.txt, changes",
        "           file-02.txt, changes",
        "           … +37 more lines",
    ]
    assert shown[-3:] == ["  y once · s this session", "  a always: bash(rm -rf build)", "  n no, and why · Esc no"]
    saying_no = approval([])
    saying_no.press("text", "n")
    assert texts(saying_no.lines(40, 30))[-2:] == ["  Enter says no (a reason is optional)", "  Esc back"]


def test_a_choice_in_a_narrow_window_keeps_every_key() -> None:
    async def ask() -> list[str]:
        options = (Option("n", "no", "not now, and not later either"), Option("y", "yes", "from now on"))
        return texts(Choice("Well?", options).lines(40, 10))

    assert asyncio.run(ask()) == ["Well?", "n not now, and not later either", "y from now on"]


def test_what_hides_in_a_command_is_shown_by_its_number() -> None:
    shown = texts(approval([], detail="echo \u202egnp.exe\u200b; \x1b]0;x\x07 cаt").lines(80, 20))
    assert shown[1] == "  echo ‹U+202E›gnp.exe‹U+200B›; ‹U+001B›]0;x‹U+0007› c‹U+0430›t"


def test_a_command_longer_than_the_screen_says_how_much_is_left_and_knows_that_it_does_not_fit() -> None:
    long = approval([], detail="\n".join(f"line {n}" for n in range(50)))
    shown = texts(long.lines(80, 12))
    assert (len(shown), long.fits(80, 12), long.fits(80, 100)) == (12, False, True)
    assert "  … 44 more lines; all of it is printed above" in shown
    assert texts(long.detail_lines(80)) == [f"  line {n}" for n in range(50)]


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        ([("text", "y")], Answer("ask-1", "once")),
        ([("text", "s")], Answer("ask-1", "session")),
        ([("text", "a"), ("enter", "")], Answer("ask-1", "always")),
        ([("text", "a"), ("text", "s")], Answer("ask-1", "session")),
        ([("text", "a"), ("text", "y"), ("escape", ""), ("text", "y")], Answer("ask-1", "once")),
        ([("escape", "")], Answer("ask-1", "deny")),
        ([("text", "n"), ("enter", "")], Answer("ask-1", "deny")),
        ([("text", "n"), ("text", "not "), ("text", "now!"), ("backspace", ""), ("enter", "")], Answer("ask-1", "deny", "not now")),
        ([("text", "n"), ("text", "y"), ("escape", ""), ("text", "y")], Answer("ask-1", "once")),
    ],
)
def test_each_key_of_a_question_sends_its_answer(keys: list[tuple[str, str]], answer: Answer) -> None:
    sent: list[Answer] = []
    one = approval(sent)
    for key, text in keys:
        one.press(key, text)
    assert sent == [answer]


def test_what_would_be_saved_is_shown_with_its_file_before_it_is() -> None:
    one = approval([])
    one.saved_in = "~/.config/agentcli/settings.json"
    one.press("text", "a")
    assert texts(one.lines(80, 20)) == [
        "Always allow this in this folder?",
        "  rm -rf build",
        "  make",
        "  rule     bash(rm -rf build)",
        "  saved in ~/.config/agentcli/settings.json",
        "  Enter save and allow · s this session only · Esc back",
    ]


def test_without_a_rule_nothing_can_be_allowed_always_and_other_keys_do_nothing() -> None:
    sent: list[Answer] = []
    one = approval(sent, rule="")
    for key, text in (("text", "a"), ("text", "q"), ("enter", ""), ("tab", ""), ("up", "")):
        one.press(key, text)
    assert sent == []


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("y", Answer("ask-1", "once")),
        ("yes", Answer("ask-1", "once")),
        ("s", Answer("ask-1", "session")),
        ("n", Answer("ask-1", "deny")),
        ("no use git instead", Answer("ask-1", "deny", "use git instead")),
    ],
)
def test_a_question_is_answered_by_a_line_where_there_are_no_keys(line: str, answer: Answer) -> None:
    sent: list[Answer] = []
    assert approval(sent).answered_by(line)
    assert sent == [answer]


def test_a_line_that_is_no_answer_is_none() -> None:
    sent: list[Answer] = []
    assert [approval(sent).answered_by(line) for line in ("", "maybe", "yy")] == [False, False, False]
    assert sent == []


def test_an_edit_is_shown_as_removed_and_added_lines_and_every_argument_is_there() -> None:
    detail = '{"path": "a.py", "edits": [{"old": "one\\ntwo", "new": "1"}], "why": "x\\ny", "deep": {"k": [1]}}'
    assert detail_of(waiting(detail=detail)) == [
        ("", "path: a.py"), ("bad", "- one\n- two"), ("good", "+ 1"), ("dim", "why:"), ("", "x\ny"), ("", 'deep: {"k": [1]}'),
    ]  # fmt: skip


def test_a_shell_command_that_looks_like_json_and_is_none_stays_as_it_is() -> None:
    assert detail_of(waiting(detail="{ echo a; }")) == [("bold", "{ echo a; }")]


def test_the_history_file_is_for_the_person_alone(own_home: Path) -> None:
    from agentcli.sdk.saved import history_file

    path = history_file()
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600


def test_prose_is_wrapped_between_words_and_a_long_word_anywhere() -> None:
    assert worded("it runs make and then\nwhatevercomesnext here", 10) == [
        "it runs", "make and", "then", "whateverco", "mesnext", "here",
    ]  # fmt: skip
