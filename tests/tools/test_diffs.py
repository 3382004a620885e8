"""The diff that a person sees: right for any change, short for any file."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from agentcli.tools import diffs
from agentcli.tools.diffs import Change, change


def applied(before: str, diff: str) -> str:
    """What a diff makes of a text, every context and removed line checked against it."""
    old = before.split("\n")
    old = old[:-1] if old[-1] == "" else [*old[:-1], old[-1] + "\0"]
    lines = re.sub(r"\n\\ No newline at end of file", "\0", diff).split("\n")[2:-1]
    new, at = list[str](), 0
    for line in lines:
        if head := re.fullmatch(r"@@ -(\d+),(\d+) \+(\d+),(\d+) @@", line):
            start = int(head[1]) - bool(int(head[2]))
            new, at = new + old[at:start], start
            assert len(new) == int(head[3]) - bool(int(head[4]))
        elif line[0] in " -":
            assert old[at] == line[1:]
            new, at = new + ([line[1:]] if line[0] == " " else []), at + 1
        else:
            new.append(line[1:])
    return "\n".join([*new, *old[at:], ""]).replace("\0\n", "")


TEXT = some.lists(some.sampled_from(["a", "b", "c", "", "dd"]), max_size=30).map("\n".join)


@settings(max_examples=300, deadline=None)
@given(TEXT, TEXT)
def test_a_diff_applied_to_the_old_text_gives_the_new_one(before: str, after: str) -> None:
    made = change("f", before, after)
    if before == after:
        assert made == Change()
        return
    assert applied(before, made.diff) == after
    body = made.diff.split("\n")[2:]
    assert (made.added, made.removed) == (sum(line.startswith("+") for line in body), sum(line.startswith("-") for line in body))


@settings(max_examples=50, deadline=None)
@given(TEXT, TEXT)
def test_a_change_too_wide_to_be_compared_is_shown_as_replaced(before: str, after: str) -> None:
    compared, diffs.COMPARED = diffs.COMPARED, 3
    try:
        made = change("f", before, after)
    finally:
        diffs.COMPARED = compared
    assert (applied(before, made.diff) if made.diff else before) == after


def test_a_change_of_line_ends_alone_is_an_empty_diff_and_line_ends_do_not_clutter_another() -> None:
    assert change("f", "a\r\nb\r\n", "a\nb\n") == Change()
    assert change("f", "a\r\nb\r\n", "a\r\nc\r\n").diff == "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"


def test_a_diff_is_cut_with_a_count_and_stray_bytes_can_be_sent() -> None:
    made = change("f", "", "".join(f"{number} {'x' * 50}\n" for number in range(4000)), created=True)
    assert (made.added, made.removed) == (4000, 0)
    assert len(made.diff) <= diffs.DIFF_LIMIT + 50
    assert re.search(r"\n… \d+ more lines of this diff\n$", made.diff)
    change("f", "a\udcff\n", "b\udcff\n").diff.encode()


@pytest.mark.timeout(60)
def test_the_time_goes_with_the_change_and_not_with_the_file() -> None:
    before = "".join(f"{number % 7}\n" for number in range(400_000))
    assert change("f", before, before + "x\n").added == 1
    assert change("f", before, "x\n" + before).added == 1
    assert change("f", "\n" * 4900, "x\n\n" * 2450).added > 0
