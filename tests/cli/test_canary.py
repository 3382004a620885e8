"""A provider's key goes into its own header and nowhere else, whatever a run does: tools that print the environment, files that hold it,
services that send it back in their errors.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from support.program import Ran, config, environment, run
from support.server import Answer, Call, Captured, Plain, Server, failed, redirect
from support.wires import KEY_HEADER, NAMES

KEY = "sk-test-canary/in+header=0123456789"
OTHER = "second-canary-of-another-service-42"
LITERAL = "literal-canary-written-in-config-77"
FORMS = (KEY, OTHER, LITERAL, quote(KEY, safe=""), KEY.replace("/", "\\/"))
FAST = {"retries": 1, "retry_first_s": 0.01}


def written(tmp_path: Path, url: str) -> Path:
    path = tmp_path / "agent.hcl"
    others = (
        f'providers "other" {{\n  apiKey = env("OTHER_KEY")\n  baseUrl = "{url}"\n  models "x" {{}}\n}}\n'
        f'providers "third" {{\n  apiKey = "{LITERAL}"\n  baseUrl = "{url}"\n  models "y" {{}}\n}}\n'
    )
    path.write_text(config(url, **FAST) + others)
    return path


def ran(tmp_path: Path, server: Server, *words: str, form: str = "stream-json") -> Ran:
    env = environment(TEST_KEY=KEY, OTHER_KEY=OTHER)
    path = written(tmp_path, server.url)
    return run("--config", str(path), "-p", "Go", "--output-format", form, "--permission-mode", "bypass", *words, env=env, cwd=tmp_path)


def assert_kept(done: Ran, server: Server, home: Path) -> None:
    """Nothing that the program wrote or sent holds a key, but the one header of each request."""
    sent = [(request.path, request.raw.decode(), {name: text for name, text in request.headers.items() if name != "authorization"})
            for request in server.requests]  # fmt: skip
    stored = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert any(path.suffix == ".jsonl" for path in stored)
    for form in FORMS:
        assert form not in done.out
        assert form not in done.err
        assert form not in repr(sent)
        assert [path for path, data in stored.items() if form.encode() in data] == []
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}


TOOLS = {
    "environment": Call("bash", {"command": "env; export -p; echo [$TEST_KEY$OTHER_KEY]"}),
    "processes": Call("bash", {"command": "ps -eo args; cat /proc/$PPID/cmdline | tr '\\0' ' '"}),
    "environment of the program itself": Call("bash", {"command": "cat /proc/$PPID/environ | tr '\\0' '\\n'; sleep 0.1"}),
    "config as a file": Call("read", {"path": "agent.hcl"}),
    "config by a shell": Call("bash", {"command": "cat agent.hcl; grep -rn canary ."}),
    "config searched": Call("grep", {"pattern": "apiKey", "path": "agent.hcl"}),
    "a tool that fails": Call("bash", {"command": "cat agent.hcl >&2; exit 3"}),
    "long output": Call("bash", {"command": "cat agent.hcl; seq 200000; cat agent.hcl"}),
}


@pytest.mark.parametrize("name", TOOLS)
def test_no_tool_brings_a_key_into_the_answer_the_session_or_the_next_request(tmp_path: Path, own_home: Path, name: str) -> None:
    with Server(Answer(calls=(TOOLS[name],)), Answer("Done.")) as server:
        done = ran(tmp_path, server)
    assert (done.code, done.result["result"], len(server.requests)) == (0, "Done.", 2)
    assert_kept(done, server, own_home)


ERRORS = {
    "header sent back": lambda request: failed(400, f"bad request, headers were {request.headers}"),
    "wrong key": lambda request: failed(401, f"Incorrect API key provided: {request.headers['authorization']}"),
    "plain text": lambda request: Plain(500, f"<html><title>{request.headers['authorization']}</title></html>", {"content-type": "text/html"}),
    "as JSON escapes it": lambda request: Plain(403, b'{"error":{"message":"no ' + KEY.replace("/", "\\/").encode() + b'"}}'),
    "in a URL": lambda request: failed(404, f"no https://x.example/v1?key={quote(KEY, safe='')}"),
    "redirect": lambda request: Plain(307, b"", {"location": f"http://{quote(KEY, safe='')}@127.0.0.2:9/{KEY}"}),
    "success that is none": lambda request: Plain(200, f'data: {{"error": {{"message": "{KEY}"}}}}\n\n', {"content-type": "text/event-stream"}),
    "status of the line": lambda request: Plain(422, {"detail": [{"loc": ["header"], "msg": KEY}]}),
}


@pytest.mark.parametrize("form", ["text", "stream-json"])
@pytest.mark.parametrize("name", ERRORS)
def test_no_service_brings_a_key_back_by_its_error(tmp_path: Path, own_home: Path, name: str, form: str) -> None:
    with Server(always=ERRORS[name]) as server:
        done = ran(tmp_path, server, form=form)
    assert done.code not in (0, 2)
    assert_kept(done, server, own_home)


def test_a_worker_is_as_discreet_as_its_parent(tmp_path: Path, own_home: Path) -> None:
    def reply(request: Captured) -> Answer:
        text = request.raw.decode()
        if "Look around" in text and "delegate this" not in text:
            return Answer("Seen.") if '"tool"' in text else Answer(calls=(TOOLS["config by a shell"], TOOLS["environment of the program itself"]))
        return Answer("Done.") if '"tool"' in text else Answer("delegate this", calls=(Call("task", {"agent": "general", "prompt": "Look around"}),))

    with Server(always=reply) as server:
        done = ran(tmp_path, server)
    assert (done.code, len(server.requests)) == (0, 4)
    assert_kept(done, server, own_home)


KEYS = {wire: f"sk-{wire}/canary+0123456789" for wire in NAMES}
LOOK = Call("bash", {"command": "env > seen.txt; ps -eo args >> seen.txt; cat agent.hcl; tr '\\0' '\\n' < /proc/$PPID/environ"}, id="c1")


def all_wires(folder: Path, url: str) -> dict[str, str]:
    """A config with a provider of each wire, and the environment with their keys."""
    blocks = [
        f'providers "{wire}" {{\n  wire = "{wire}"\n  apiKey = env("KEY_{number}")\n  baseUrl = "{url}"\n  models "m" {{}}\n}}\n'
        for number, wire in enumerate(NAMES)
    ]
    (folder / "agent.hcl").write_text("".join(blocks))
    return environment(**{f"KEY_{number}": KEYS[wire] for number, wire in enumerate(NAMES)})


@pytest.mark.parametrize("wire", NAMES)
def test_on_every_wire_the_key_is_in_its_own_header_and_no_key_anywhere_else(tmp_path: Path, own_home: Path, wire: str) -> None:
    """A run whose command looks everywhere and whose service then says the key back, and one more whose service redirects."""
    with Server() as elsewhere, Server(Answer(calls=(LOOK,)), lambda request: failed(401, f"wrong: {request.headers}")) as server:
        server.reply(redirect(f"{elsewhere.url}/?{quote(KEYS[wire])}"))
        env = all_wires(tmp_path, server.url)
        words = ("--config", "agent.hcl", "-m", f"{wire}/m", "--permission-mode", "bypass", "--verbose", "-p")
        first = run(*words, "Go", "--output-format", "stream-json", "--include-partial-messages", env=env, cwd=tmp_path)
        second = run(*words, "-c", "And now?", env=env, cwd=tmp_path)
    assert (first.code, second.code, len(server.requests), elsewhere.connections) == (41, 1, 3, 0)
    kept = [path for path in (*own_home.rglob("*"), tmp_path / "seen.txt") if path.is_file()]
    assert any(path.suffix == ".jsonl" for path in kept)
    assert "PATH=" in (tmp_path / "seen.txt").read_text()
    written = [first.out, first.err, second.out, second.err, *(path.read_text("utf-8", "replace") for path in kept)]
    for key in KEYS.values():
        assert [text for text in written if key in text or quote(key, safe="") in text or key.replace("/", "\\/") in text] == []
    for request in server.requests:
        held = [name for name, value in request.headers.items() if any(key in value for key in KEYS.values())]
        assert (held, KEYS[wire] in request.headers[KEY_HEADER[wire]]) == ([KEY_HEADER[wire]], True)
        assert not any(key in request.path or key.encode() in request.raw for key in KEYS.values())


SHOWN = (
    ("config", "show"), ("config", "show", "--json"), ("config", "check"), ("models",), ("models", "--json"), ("agents",), ("agents", "--json"),
    ("doctor", "--test"), ("doctor", "--test", "--json"),
)  # fmt: skip


def test_no_command_shows_a_key_also_where_every_service_says_it_back(tmp_path: Path, own_home: Path) -> None:
    def echo(request: Captured) -> Plain:
        return Plain(400, {"error": {"message": f"no: {request.headers}"}})

    with Server(always=echo) as server:
        env = all_wires(tmp_path, server.url)
        for words in SHOWN:
            done = run(*words, "--config", "agent.hcl", env=env, cwd=tmp_path)
            assert done.code in (0, 1), done.err
            assert "anthropic" in done.out + done.err or words[0] == "agents" or words[1:] == ("check",)
            assert [key for key in KEYS.values() if key in done.out + done.err] == [], words
    assert {KEY_HEADER[wire] for wire in NAMES} <= {name for request in server.requests for name in request.headers}
