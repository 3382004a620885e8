"""What the analysis of a shell command finds, and that bash itself never runs or opens what the analysis did not see."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentcli.safety.shell import analyse


def found(command: str) -> list[list[str | None]]:
    """The words of every command that does something itself; None for a word that only running it tells."""
    script = analyse(command)
    assert script.problem == ""
    return [[word.text for word in simple.words] for simple in script.commands if simple.words and not simple.wraps]


@pytest.mark.parametrize(
    ("command", "commands"),
    [
        ("git status", [["git", "status"]]),
        ("a; b & c\nd", [["a"], ["b"], ["c"], ["d"]]),
        ("a && b || c | d |& e", [["a"], ["b"], ["c"], ["d"], ["e"]]),
        ("! a && (b; { c; })", [["a"], ["b"], ["c"]]),
        ("if a; then b; elif c; then d; else e; fi", [["a"], ["b"], ["c"], ["d"], ["e"]]),
        ("while a; do b; done; until c; do d; done", [["a"], ["b"], ["c"], ["d"]]),
        ("case $x in a|b) c;; *) d;; esac", [["c"], ["d"]]),
        ("f() { a; }; function g { b; }", [["a"], ["b"]]),
        ("echo $(a) `b` \"$(c)\" <(d)", [["a"], ["b"], ["c"], ["d"], ["echo", None, None, None, "/dev/fd/63"]]),
        ("x=$(a) y=${z:-$(b)} c", [["a"], ["b"], ["c"]]),
        ("cat <<EOF\n$(a) $b\nEOF", [["a"], ["cat"]]),
        ("cat <<'EOF'\n$(a) `b`\nEOF\nc", [["cat"], ["c"]]),
        ("cat <<-EOF | a && b\n\tx\n\tEOF\nc", [["cat"], ["a"], ["b"], ["c"]]),
        ("python3 - <<'E'\nprint(1)\nE", [["python3", "-"]]),
        ("cat <<< $(a)", [["a"], ["cat"]]),
        ("[[ -f x && $(a) == b ]] && c", [["a"], ["[[", "-f", "x", "&&", None, "==", None, "]]"], ["c"]]),
        ("r\"m\" 'it'\\''s' $'d\\te' {f,g{1,2}}.txt", [["rm", "it's", "d\te", "f.txt", "g1.txt", "g2.txt"]]),
        ('echo "a\n b $x" "\\$y \\" \\z" $z', [["echo", None, '$y " \\z', None]]),
        ("echo ${x:1:2} ${#x} ${x##*/} ${x[@]} $((1+2)) {1..3} $?", [["echo", *[None] * 7]]),
        ("ls > a b 2>&1 c", [["ls", "b", "c"]]),
        ("ls # a b\nc # d", [["ls"], ["c"]]),
        ("ls \\\n  -la", [["ls", "-la"]]),
        ("for x in a 'b c'; do echo $x \"$x\"; done", [["echo", "a", "a"], ["echo", None, "b c"]]),
        ("for x in a b; do x=c; echo $x; done", [["echo", None]]),
        ("for x in a b; do read x; echo $x; done", [["read", "x"], ["echo", None]]),
        ("timeout -k 5 10 nice -n 3 env A=1 nohup a b", [["a", "b"]]),
        ("command a; builtin b; exec c; time d", [["a"], ["b"], ["c"], ["d"]]),
        ("xargs -0 -I{} a {} x{} b", [["a", None, None, "b", None]]),
        ("find x -exec a {} \\; -execdir b +", [["find", "x", "-exec", "a", "{}", ";", "-execdir", "b", "+"], ["a", None], ["b"]]),
        ("bash -lc 'a; b' x; sh -c \"c\"; eval d '; e'; trap 'f' EXIT", [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]]),
        ("bash -c 'bash -c \"a | b\"'", [["a"], ["b"]]),
        ("bash script.sh; sh", [["bash", "script.sh"], ["sh"]]),
        ("export A=b c; unset d; declare -x E=f", [["export", "A=b", "c"], ["unset", "d"], ["declare", "-x", "E=f"]]),
    ],
)  # fmt: skip
def test_every_command_is_found_with_its_words(command: str, commands: list[list[str | None]]) -> None:
    assert found(command) == commands


def test_a_wrapper_is_listed_and_what_it_runs_knows_it() -> None:
    script = analyse("sudo -u root rm x")
    assert [(simple.words[0].text, simple.wraps, simple.offset) for simple in script.commands] == [
        ("sudo", False, 0), ("root", True, 2), ("rm", True, 3), ("x", True, 4),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "opened"),
    [
        ("a > b < c 2>> d &> e >| f", [("write", "b"), ("read", "c"), ("write", "d"), ("write", "e"), ("write", "f")]),
        ("a >&2 2>&1 <&3 2>&- | b >& c", [("write", "c")]),
        ("{ a; b; } > c; (d) > e; for x in 1; do f; done > g", [("write", "c"), ("write", "e"), ("write", "g")]),
        ("echo $(< a) >(b > c)", [("read", "a"), ("write", "c")]),
        ("> a", [("write", "a")]),
        ("a > $b", [("write", None)]),
        ("a > {b,c}", [("write", None)]),
    ],
)
def test_every_file_that_the_shell_opens_is_found(command: str, opened: list[tuple[str, str | None]]) -> None:
    script = analyse(command)
    assert script.problem == ""
    assert [(redirect.kind, redirect.path.text) for simple in script.commands for redirect in simple.redirects] == opened


@pytest.mark.parametrize(
    ("command", "folders"),
    [
        ("cd a && x", ("a",)),
        ("cd a; x", ("a", ".")),
        ("cd a || x", (".",)),
        ("cd a && cd ../b && x", ("b",)),
        ("cd /tmp && cd .. && x", ("/",)),
        ("(cd a); x", (".",)),
        ("cd a | b; x", (".",)),
        ("cd a & x", (".",)),
        ("{ cd a; } && x", ("a",)),
        ("command cd a && x", ("a",)),
        ("eval 'cd a' && x", ("a",)),
        ("bash -c 'cd a' && x", (".",)),
        ("cd && x", ("~",)),
        ("cd - && x", (None,)),
        ("cd $y && x", (None,)),
        ("cd ~- && x", (None,)),
        ("pushd a && x", (None,)),
        ("if a; then cd b; fi; x", (None,)),
        ("while a; do x; cd ..; done", (None,)),
        ("f() { cd a; }; x", (None,)),
        ("cd() { :; }; cd a && x", (None,)),
    ],
)
def test_the_folder_is_followed_or_unknown(command: str, folders: tuple[str | None, ...]) -> None:
    script = analyse(command)
    assert script.problem == ""
    assert {simple.folders for simple in script.commands if simple.words and simple.words[0].text == "x"} == {folders}


@pytest.mark.parametrize(
    "command",
    [
        "$x a", "\"$x\" a", "$(a) b", "/bin/r* x", "eval $x", "bash -c \"$x\"", "zsh -c a", "env -S 'a b'", "timeout $x a", "watch a", "parallel a",
        "coproc a", "echo $((x))", "((x++))", "echo ${x@P}", "echo ${!x}", "echo ${x:y}", "echo ${a[x]}", "a[x]=1", "[[ $x -eq 1 ]]", "[ -v x ]",
        "for ((i=0;i<3;i++)); do a; done",
    ],
)  # fmt: skip
def test_what_only_running_it_tells_is_said(command: str) -> None:
    script = analyse(command)
    assert script.problem == ""
    assert script.unclear or any(simple.unclear for simple in script.commands)


@pytest.mark.parametrize(
    "command",
    [
        "a &&& b", "echo $(", "ls *(e:whoami:)", "r\\\nm x", "a\rb", "ls\xa0-la", "rm\u200b x", "a \x1b[8m", "echo `echo \\`rm\\``",
        "0>f a", "a {x}>f",
        "[ a > f ]", "[[a ]]", "cat <<A <<B\na\nA\nb\nB", "cat <<EOF |\nEOF\nrm x\nEOF", "cat <<EOF\nx\nEOF ", "\ud800", "(" * 200 + ")" * 200,
        "echo " + "x" * 70_000, "ls;" * 5_000, "bash -c 'echo $('", '$"rm" x',
    ],
)  # fmt: skip
def test_what_is_not_surely_read_as_bash_reads_it_counts_as_not_understood(command: str) -> None:
    script = analyse(command)
    assert not script.parsed
    assert script.problem


@pytest.mark.parametrize(
    "command",
    [
        "while true; do cd x; " * 12 + "ls" + "; done" * 12,
        "for a in 1 2 3 4 5 6 7 8 9; do " * 12 + "ls" + "; done" * 12,
        "echo " + "{a,b}" * 40,
        "[[ " * 9_000,
    ],
)
def test_no_command_makes_the_analysis_long(command: str) -> None:
    start = os.times().user
    analyse(command)
    assert os.times().user - start < 2


# --- against bash itself ---

SEEDS = (
    'echo "a $(ls) b" probe', "ls # probe\ncat", "cat <<EOF\n$x probe\nEOF\nls", "echo 'probe' && ls", "for i in a probe; do echo $i; done",
    "case x in probe) ls;; esac", "[[ -f probe ]] && ls", "echo `ls`; ls", "f() { echo probe; }; f x", 'bash -c "echo probe"', "echo ${x:-probe}",
    "ls | cat <<'EOF'\nprobe $(probe)\nEOF", 'eval "echo probe"', "echo $(cat <<EOF\nprobe\nEOF\n) x", "cat <<EOF | cat\nprobe\nEOF",
    "{ ls; echo probe; } > f", "if ls; then echo probe; fi", "echo $'\\'probe\\''", "time echo probe", "[ a = probe ] || ls",
    "ls <(echo probe) >(cat)",
    "cat <<-EOF\n\tprobe\n\tEOF\nls", "cat <<A\nprobe\nA\ncat <<B\nprobe\nB", "ls >probe; cat <probe",
)  # fmt: skip
PIECES = (
    "probe", "probe", ">probe", "ls", "echo", "x", '"', "'", "$(", ")", "`", ";", "&&", "||", "|", "&", "\n", "\\", "#", "<<EOF",
    "\nEOF\n", "<<'EOF'", "{",
    "}", "((", "))", "[[", "]]", "[", "]", " ", "  ", "$x", "${x", "${x:-", "$((", "<", ">", ">>", "<(", ">(", "if", "then", "fi",
    "for i in", "do", "done",
    "case x in", "esac", ";;", "x=", "!", "eval", "bash -c", "$'", "<<<", "*", "~", "=", "f()", "time", "\t", "\\\n", "{a,", "@", "EOF",
    '"$(', ')"', "2>&1",
    "&>", "cat", "\\'", '\\"', '$"', "$[", "export", "a[", "coproc", "trap", "/", "2>", "0", "1", "env", "command",
)  # fmt: skip


def mutated(draw: random.Random) -> str:
    if draw.random() < 0.3:
        return "".join(draw.choice(PIECES) + draw.choice(("", " ", " ")) for _ in range(draw.randint(2, 14)))
    text = draw.choice(SEEDS)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(text) + 1)
        text = text[:at] + draw.choice(PIECES) + text[at:] if draw.random() < 0.6 else text[: max(at - 1, 0)] + text[at:]
    return text


def foreseen(command: str) -> bool:
    """Whether the analysis says that `probe` may run or be written, or that it does not know."""
    script = analyse(command)
    if not script.parsed or script.unclear:
        return True
    for simple in script.commands:
        if simple.unclear or (simple.words and (simple.words[0].glob or "probe" in (word.text for word in simple.words[:2]))):
            return True
        if any(redirect.path.text is None or redirect.path.glob or "probe" in redirect.path.text for redirect in simple.redirects):
            return True
    return False


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="compares with /bin/bash")
@pytest.mark.parametrize("seed", range(2))
def test_bash_never_runs_or_writes_what_the_analysis_did_not_see(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    programs, work, mark = tmp_path / "bin", tmp_path / "work", tmp_path / "ran"
    programs.mkdir()
    work.mkdir()
    stubs = {"probe": f": > {mark}", "ls": "exit 0", "cat": "exit 0", "env": 'exec /usr/bin/env "$@"', "bash": 'exec /bin/bash "$@"'}
    for name, body in stubs.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    ran = 0
    for command in (mutated(draw) for _ in range(1_500)):
        if "probe" not in command or foreseen(command):
            continue
        ran += 1
        bash(["-c", command], work, programs)
        assert not mark.exists(), command
        assert not (work / "probe").exists(), command
    assert ran > 30


def bash(arguments: Sequence[str], work: Path, programs: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["/bin/bash", *arguments], cwd=work, env={"PATH": str(programs), "HOME": str(work), "LANG": "C.UTF-8"}, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=20, check=False,
    )  # fmt: skip


WORD_PIECES = (
    "a", "b", '"', '"', "'", "'", "\\", "\\n", "$'", "\\x41", "\\t", "{", "}", ",", " ", "  ", "\n", "#", "=", "-", "--x", "$", "!", "é",
    '"a b"', '\\"', "\\$",
    "%", "+", "@", ":", "^", "/", "..", "1", "0x1", "{a,b}", "x{1,2}y", '"$"', "\\\\", ";", "show ", "[", "]",
)  # fmt: skip


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="compares with /bin/bash")
def test_words_that_count_as_known_are_the_ones_that_bash_passes(tmp_path: Path) -> None:
    draw = random.Random(7)
    programs, work, out = tmp_path / "bin", tmp_path / "work", tmp_path / "out"
    programs.mkdir()
    work.mkdir()
    (programs / "show").write_text(f'#!/bin/bash\n{{ for a in "$@"; do printf "%s\\0" "$a"; done; printf "\\1"; }} >> {out}\n')
    (programs / "show").chmod(0o755)
    compared = 0
    for _ in range(1_200):
        command = "show " + "".join(draw.choice(WORD_PIECES) + draw.choice(("", "", " ")) for _ in range(draw.randint(1, 10)))
        script = analyse(command)
        simples = [simple for simple in script.commands if simple.words]
        if not script.parsed or script.unclear or any(word.text is None or word.glob for simple in simples for word in simple.words):
            continue
        if any(simple.unclear or simple.redirects or simple.words[0].text != "show" for simple in script.commands):
            continue
        compared += 1
        out.unlink(missing_ok=True)
        bash(["-c", command], work, programs)
        passed = [call.split("\0")[:-1] for call in out.read_text("utf-8").split("\1")[:-1]]
        assert passed == [[word.text for word in simple.words[1:]] for simple in simples], command
    assert compared > 200


def test_the_grammar_is_imported_only_when_a_command_is_judged(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from agentcli.protocol.tools import Access\n"
        "from agentcli.safety.rules import Policy, judge, parse_rules\n"
        "policy = Policy(roots=(Path.cwd(),), allow=parse_rules('bash(git log), read(*.md)'))\n"
        "judge(policy, 'read', Access(reads=('x',))); assert 'tree_sitter' not in sys.modules and 'agentcli.safety.shell' not in sys.modules\n"
        "judge(policy, 'bash', Access(command='ls')); assert 'tree_sitter' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
