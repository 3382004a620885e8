from __future__ import annotations

import asyncio
import gzip
import http.server
import shutil
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import pytest
from support.toolbox import answer, call, context, refusal

from agentcli.protocol.errors import ToolError
from agentcli.protocol.messages import Text
from agentcli.protocol.tools import Access, TextDisplay, ToolContext, ToolOutcome
from agentcli.tools import web_fetch
from agentcli.tools.addresses import Address
from agentcli.tools.web_fetch import WebFetch, WebFetchArgs

HERE = ip_address("127.0.0.1")


@dataclass
class Reply:
    body: bytes = b""
    kind: str = "text/plain"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    reason: str | None = None
    length: bool = True
    write: Callable[[Callable[[bytes], object]], None] | None = None
    """Writes the body itself, after the head."""


class Site:
    """A web server on 127.0.0.1. `pages` holds a reply for each path, `asked` every request line and its headers."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, Reply] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        site = self

        class OneRequest(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append((self.path, dict(self.headers.items())))
                reply = site.pages.get(self.path, Reply(b"nothing here", status=404))
                self.send_response(reply.status, reply.reason)
                if reply.kind:
                    self.send_header("Content-Type", reply.kind)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.length and reply.write is None:
                    self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                if reply.write is None:
                    self.wfile.write(reply.body)
                else:
                    reply.write(self.wfile.write)

            def log_message(self, *args: object) -> None:
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, *args: object) -> None:
                """A client that leaves in the middle is what some tests are about."""

        self._server = Quiet(("127.0.0.1", 0), OneRequest)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> Site:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, path: str, host: str = "site.test") -> str:
        return f"http://{host}:{self.port}{path}"


class Names:
    """A name service of our own. A name with several answers gives one list after the other, the last one for ever."""

    def __init__(self, **hosts: Sequence[Sequence[str]]) -> None:
        self._hosts = {"site.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]], "inner.test": [["10.0.0.7"]]} | {
            name.replace("_", "."): list(answers) for name, answers in hosts.items()
        }
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        if host in self._hosts:
            answers = self._hosts[host]
            return [ip_address(text) for text in (answers.pop(0) if len(answers) > 1 else answers[0])]
        try:
            return [ip_address(host)]
        except ValueError:
            raise ToolError(f"the host {host} cannot be found", code="unknown_host") from None


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        yield running


@pytest.fixture
def ctx(tmp_path: Path) -> ToolContext:
    folder = tmp_path / "project"
    folder.mkdir()
    return context(folder)


def fetcher(names: Names | None = None) -> WebFetch:
    """The tool, for which 127.0.0.1 is the public web and every other address of this machine or a network is not."""
    return WebFetch(reachable=lambda address: address == HERE, resolve=names or Names())


# --- what comes back ---


def test_a_page_comes_as_markdown_with_its_address_and_title(site: Site, ctx: ToolContext) -> None:
    page = b"<title>The page</title><h1>Hello</h1><p>See <a href='next?x=1'>this</a>.<script>no()</script>"
    site.pages["/dir/page"] = Reply(page, "text/html; charset=utf-8")
    url = site.url("/dir/page")
    text = f"# Hello\n\nSee [this]({site.url('/dir/next?x=1')})."
    head = f"Page: {url}\nTitle: The page\nType: text/html"
    assert call(fetcher(), ctx, url=url + "#part") == ToolOutcome((Text(f"{head}\n\n{text}"),), TextDisplay(f"The page, {len(text)} characters"))


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Reply(b'{"a": [1, 2]}\n', "application/json"), 'Type: application/json\n\n{"a": [1, 2]}'),
        (Reply(b"# Read me\n\n<b>\n", "text/markdown"), "Type: text/markdown\n\n# Read me\n\n<b>"),
        (Reply("grüße".encode("latin-1"), "text/plain; charset=iso-8859-1"), "Type: text/plain\n\ngrüße"),
        (Reply(b"<!doctype html><p>told by nobody", ""), "Type: text/html\n\ntold by nobody"),
        (Reply(b"words", ""), "Type: text/plain\n\nwords"),
        (Reply(b"", "text/html"), "Type: text/html\n\n(the page is empty)"),
        (Reply(b"<script>app()</script>", "text/html"), "Type: text/html\n\n(no text)"),
        (Reply(b"until the end", length=False), "Type: text/plain\n\nuntil the end"),
        (Reply(gzip.compress(b"packed"), headers={"Content-Encoding": "gzip"}), "Type: text/plain\n\npacked"),
        (Reply(zlib.compress(b"packed"), headers={"Content-Encoding": "deflate"}), "Type: text/plain\n\npacked"),
    ],
)
def test_other_text_comes_as_it_is(reply: Reply, text: str, site: Site, ctx: ToolContext) -> None:
    site.pages["/"] = reply
    assert answer(fetcher(), ctx, url=site.url("/")) == f"Page: {site.url('/')}\n{text}"


def test_a_request_tells_who_asks_and_holds_no_cookie_and_no_key(site: Site, ctx: ToolContext, own_home: Path) -> None:
    (own_home / ".netrc").write_text("machine site.test login me password secret\n")
    (own_home / ".netrc").chmod(0o600)
    site.pages["/a?b=c%20d"] = Reply(b"x", headers={"Set-Cookie": "a=b"})
    for _ in range(2):
        answer(fetcher(), ctx, url=site.url("/a?b=c%20d#fragment"))
    path, headers = site.asked[1]
    assert path == "/a?b=c%20d"
    assert headers == {
        "Host": f"site.test:{site.port}",
        "User-Agent": web_fetch.HEADERS["User-Agent"],
        "Accept": web_fetch.HEADERS["Accept"],
        "Accept-Encoding": "gzip, deflate",
        "Connection": "keep-alive",
    }


@pytest.mark.parametrize(
    ("reply", "code", "said"),
    [
        (Reply(b"\x89PNG", "image/png"), "not_text", "{url} is no text: image/png, 4 B. To have the file, use curl -o in bash"),
        (Reply(b"PK", "application/zip", length=False), "not_text", "{url} is no text: application/zip. To have the file, use curl -o in bash"),
        (Reply(b"\x7fELF\0\0", ""), "not_text", "{url} is no text (6 B); to have the file, use curl -o in bash"),
        (Reply(b"a\0b", "text/plain"), "not_text", "{url} is no text (3 B); to have the file, use curl -o in bash"),
        (Reply(b"x", headers={"Content-Encoding": "br"}), "not_text", "{url} comes packed as br, which was not asked for"),
        (Reply(b"x", headers={"Content-Encoding": "gzip, gzip"}), "not_text", "{url} comes packed as gzip, gzip, which was not asked for"),
        (Reply(b'{"error": "no\\nsuch"}', "application/json", 404), "http_404", '{url} answers 404 Not Found: {{"error": "no\\nsuch"}}'),
        (Reply(b"<p>long page", "text/html", 500), "http_500", "{url} answers 500 Internal Server Error"),
        (Reply(b"x" * 5000, "text/plain", 403, reason="\x1b[1mNo"), "http_403", "{url} answers 403 ␛[1mNo: " + "x" * 300),
        (Reply(b"", "image/png", 410), "http_410", "{url} answers 410 Gone"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(reply: Reply, code: str, said: str, site: Site, ctx: ToolContext) -> None:
    site.pages["/x"] = reply
    expected = said.format(url=site.url("/x")).replace("␛[1m", "")
    assert refusal(fetcher(), ctx, url=site.url("/x")) == (code, expected)


def test_a_page_that_is_not_packed_as_it_says_is_an_error(site: Site, ctx: ToolContext) -> None:
    site.pages["/"] = Reply(b"not gzip at all", headers={"Content-Encoding": "gzip"})
    code, said = refusal(fetcher(), ctx, url=site.url("/"))
    assert code == "unreachable" and said.startswith(f"{site.url('/')} cannot be fetched: ")


def test_a_server_that_is_not_there(ctx: ToolContext) -> None:
    with Site() as gone:
        url = gone.url("/")
    code, said = refusal(fetcher(), ctx, url=url)
    assert code == "unreachable" and said.startswith(f"{url} cannot be fetched: ")
    assert refusal(fetcher(), ctx, url="http://nowhere.test/") == ("unknown_host", "the host nowhere.test cannot be found")


# --- limits ---


def test_a_long_page_is_cut_and_saved_whole(site: Site, ctx: ToolContext) -> None:
    whole = "".join(f"line {n}\n" for n in range(10_000))
    site.pages["/"] = Reply(whole.encode())
    said = answer(fetcher(), ctx, url=site.url("/"), max_chars=70)
    saved = ctx.scratch / "output-main-1.txt"
    text = whole.rstrip("\n")
    note = f"[{len(text) - 70:,} more characters; the whole output is in {saved}: look at parts of it with grep or read]"
    assert said == f"Page: {site.url('/')}\nType: text/plain\n\n{whole[:70].rstrip()}\n\n{note}"
    assert saved.read_text() == text
    assert len(answer(fetcher(), ctx, url=site.url("/"))) <= ctx.output_limit
    assert len(answer(fetcher(), ctx, url=site.url("/"), max_chars=10**9)) <= ctx.output_limit


def test_of_a_body_without_end_only_so_much_is_read(site: Site, ctx: ToolContext) -> None:
    def endless(write: Callable[[bytes], object]) -> None:
        while True:
            write(b"x" * 100_000)

    site.pages["/"] = Reply(write=endless)
    said = answer(fetcher(), ctx, url=site.url("/"), max_chars=5)
    assert said.endswith("\n\n[the page is larger than 5.0 MB: only so much of it was read]")
    assert (ctx.scratch / "output-main-1.txt").stat().st_size == web_fetch.BODY_LIMIT


def test_the_limit_counts_what_is_unpacked(site: Site, ctx: ToolContext) -> None:
    site.pages["/"] = Reply(gzip.compress(b"0" * 50_000_000), headers={"Content-Encoding": "gzip"})
    assert "only so much of it was read]" in answer(fetcher(), ctx, url=site.url("/"), max_chars=5)
    assert (ctx.scratch / "output-main-1.txt").stat().st_size == web_fetch.BODY_LIMIT


@pytest.mark.parametrize("pieces", [0, 10_000])
def test_the_time_limit_holds_for_a_silent_body_and_for_a_slow_drip(
    pieces: int, site: Site, ctx: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_fetch, "TIME_LIMIT_S", 0.4)
    left = threading.Event()

    def drip(write: Callable[[bytes], object]) -> None:
        for _ in range(pieces):
            write(b"x")
            if left.wait(0.02):
                return
        left.wait(20)

    site.pages["/"] = Reply(write=drip)
    began = time.monotonic()
    try:
        assert refusal(fetcher(), ctx, url=site.url("/")) == ("time_limit", f"{site.url('/')} was not there within 0.4 seconds")
        assert time.monotonic() - began < 5
    finally:
        left.set()


# --- where it may go ---


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("ftp://site.test/", "bad_url", "ftp://site.test/ is no web page: only http:// and https:// can be fetched"),
        ("file:///etc/passwd", "bad_url", "file:///etc/passwd is no web page: only http:// and https:// can be fetched"),
        ("/etc/passwd", "bad_url", "/etc/passwd is no web page: only http:// and https:// can be fetched"),
        ("http:///path", "bad_url", "http:///path names no host"),
        ("http://me:secret@site.test/", "bad_url", "the URL of site.test holds a name or password; give it without"),
        ("http://me@site.test/", "bad_url", "the URL of site.test holds a name or password; give it without"),
        ("http://a\nb/", "bad_url", "'http://a\\nb/' is no URL: Invalid non-printable ASCII character in URL, '\\n' at position 8."),
        ("http://site.test:99999/", "bad_url", "http://site.test:99999/ names a port that does not exist"),
    ],
)
def test_what_is_no_public_web_address_is_refused(url: str, code: str, said: str, ctx: ToolContext) -> None:
    refused = refusal(fetcher(), ctx, url=url)
    assert refused == (code, said)
    assert "secret" not in refused[1]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "LOCALHOST", "2130706433", "0x7f000001", "127.1", "127.0.0.1.", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"],
)
def test_as_shipped_it_reaches_no_server_of_this_machine_however_it_is_spelled(host: str, site: Site, ctx: ToolContext) -> None:
    code, said = refusal(WebFetch(), ctx, url=site.url("/", host))
    assert (code, site.asked) in [("private_address", []), ("unknown_host", [])]
    assert code == "unknown_host" or said.endswith(
        ", an address of this machine or a private network; web_fetch reaches the public web only. For a local server use curl in bash."
    )


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "192.168.0.1", "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]", "100.100.100.200"])
def test_as_shipped_it_reaches_no_private_network(host: str, ctx: ToolContext) -> None:
    assert refusal(WebFetch(), ctx, url=f"http://{host}/latest/meta-data/")[0] == "private_address"


def test_a_name_is_looked_up_once_and_the_checked_address_is_the_one_connected_to(site: Site, ctx: ToolContext) -> None:
    """DNS rebinding: the same name means a private address the next time it is asked for."""
    names = Names(turn_test=[["127.0.0.1"], ["10.0.0.1"]])
    site.pages["/"] = Reply(b"from here")
    assert answer(fetcher(names), ctx, url=site.url("/", "turn.test")).endswith("from here")
    assert (names.asked, site.asked[0][1]["Host"]) == (["turn.test"], f"turn.test:{site.port}")
    assert refusal(fetcher(names), ctx, url=site.url("/", "turn.test"))[0] == "private_address"


def test_one_private_address_among_public_ones_is_enough_to_refuse(site: Site, ctx: ToolContext) -> None:
    names = Names(mixed_test=[["127.0.0.1", "10.0.0.1"]])
    assert (refusal(fetcher(names), ctx, url=site.url("/", "mixed.test"))[0], site.asked) == ("private_address", [])


def test_where_one_address_of_a_host_does_not_answer_the_next_is_tried(site: Site, ctx: ToolContext) -> None:
    tool = WebFetch(reachable=lambda address: address.is_loopback, resolve=Names(two_test=[["127.0.0.2", "127.0.0.1"]]))
    site.pages["/"] = Reply(b"the second")
    assert answer(tool, ctx, url=site.url("/", "two.test")).endswith("the second")


# --- redirects ---


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_and_named(status: int, site: Site, ctx: ToolContext) -> None:
    site.pages["/old"] = Reply(b"moved", status=status, headers={"Location": "new?x=1"})
    site.pages["/new?x=1"] = Reply(b"here")
    new = site.url("/new?x=1")
    assert answer(fetcher(), ctx, url=site.url("/old")) == f"Page: {new}\nRedirected to: {new}\nType: text/plain\n\nhere"


def test_a_redirect_to_another_host_is_followed_under_that_hosts_name_without_cookies(site: Site, ctx: ToolContext) -> None:
    other = site.url("/there", "other.test")
    site.pages["/"] = Reply(status=302, headers={"Location": other, "Set-Cookie": "session=1"})
    site.pages["/there"] = Reply(b"arrived")
    assert answer(fetcher(), ctx, url=site.url("/")) == f"Page: {other}\nRedirected to: {other}\nType: text/plain\n\narrived"
    hosts = [f"site.test:{site.port}", f"other.test:{site.port}"]
    assert [(headers["Host"], "Cookie" in headers) for _, headers in site.asked] == [(host, False) for host in hosts]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("http://127.0.0.2:{port}/", "private_address"),
        ("http://[::1]:{port}/", "private_address"),
        ("http://169.254.169.254/latest", "private_address"),
        ("http://inner.test/", "private_address"),
        ("//inner.test/", "private_address"),
        ("file:///etc/passwd", "bad_url"),
        ("gopher://site.test/", "bad_url"),
        ("http://me:secret@site.test:{port}/", "bad_url"),
        ("http://site.test:99999/", "bad_url"),
        ("https://nowhere.test/", "unknown_host"),
    ],
)
def test_a_redirect_is_checked_like_a_first_address(target: str, code: str, site: Site, ctx: ToolContext) -> None:
    site.pages["/"] = Reply(status=302, headers={"Location": target.format(port=site.port)})
    refused = refusal(fetcher(), ctx, url=site.url("/"))
    assert (refused[0], len(site.asked), "secret" in refused[1]) == (code, 1, False)


def test_as_shipped_a_redirect_to_loopback_is_refused(site: Site, ctx: ToolContext) -> None:
    """The first hop is allowed by its address here; what follows is judged by the rule that ships."""
    hops: list[Address] = []

    def first_only(address: Address) -> bool:
        hops.append(address)
        return len(hops) == 1 or web_fetch.addresses.is_public(address)

    site.pages["/"] = Reply(status=302, headers={"Location": site.url("/secret", "localhost")})
    assert refusal(WebFetch(reachable=first_only), ctx, url=site.url("/", "127.0.0.1"))[0] == "private_address"
    assert [path for path, _ in site.asked] == ["/"]


def test_a_chain_of_five_redirects_is_followed_and_a_loop_is_not(site: Site, ctx: ToolContext) -> None:
    for n in range(5):
        site.pages[f"/{n}"] = Reply(status=302, headers={"Location": f"/{n + 1}"})
    site.pages["/5"] = Reply(b"at last")
    site.pages["/loop"] = Reply(status=302, headers={"Location": "/loop"})
    assert answer(fetcher(), ctx, url=site.url("/0")).endswith("at last")
    loop = site.url("/loop")
    assert refusal(fetcher(), ctx, url=loop) == ("redirects", f"{loop} redirects more than 5 times, the last time to {loop}")
    assert len(site.asked) == 12


def test_a_redirect_that_leads_nowhere_is_the_page_itself(site: Site, ctx: ToolContext) -> None:
    site.pages["/"] = Reply(b"choose one", status=302)
    assert answer(fetcher(), ctx, url=site.url("/")).endswith("choose one")


# --- TLS ---


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for site.test with its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=DNS:site.test"]
    subprocess.run([*made, "-keyout", key, "-out", cert], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    return both


def test_a_certificate_must_be_for_the_name_though_the_connection_is_by_number(
    certificate: Path, ctx: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Site(tls) as site:
        site.pages["/"] = Reply(b"private talk")
        right = site.url("/").replace("http:", "https:")
        wrong = site.url("/", "other.test").replace("http:", "https:")
        assert answer(fetcher(), ctx, url=right).endswith("private talk")
        code, said = refusal(fetcher(), ctx, url=wrong)
    assert (code, "Hostname mismatch" in said, len(site.asked)) == ("unreachable", True, 1)


# --- proxies ---


def test_where_the_environment_names_a_proxy_it_is_asked_by_name(site: Site, ctx: ToolContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{site.port}")
    site.pages["http://known-to-the-proxy.test/x"] = Reply(b"by proxy")
    assert answer(fetcher(), ctx, url="http://known-to-the-proxy.test/x").endswith("by proxy")
    assert refusal(fetcher(), ctx, url="http://inner.test/")[0] == "private_address"
    assert [path for path, _ in site.asked] == ["http://known-to-the-proxy.test/x"]


def test_a_host_that_needs_no_proxy_is_asked_directly(site: Site, ctx: ToolContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "site.test")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    site.pages["/"] = Reply(b"direct")
    assert answer(fetcher(), ctx, url=site.url("/")).endswith("direct")


def test_a_proxy_that_cannot_be_used_is_an_error_that_says_so(ctx: ToolContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("http_proxy", "gopher://127.0.0.1:1")
    code, said = refusal(fetcher(), ctx, url="http://site.test/")
    assert code == "unreachable" and said.startswith("the environment's proxy or certificate settings cannot be used: ")


# --- arguments and cost ---


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("example.com", "https://example.com"),
        (" docs.example.com/a?b ", "https://docs.example.com/a?b"),
        ("example.com:8080/x", "https://example.com:8080/x"),
        ("http://example.com", "http://example.com"),
        ("localhost", "localhost"),
        ("../etc/passwd", "../etc/passwd"),
    ],
)
def test_a_bare_host_is_meant_as_a_browser_means_it(given: str, meant: str) -> None:
    args = WebFetchArgs.model_validate({"url": given})
    assert (args.url, WebFetch().access(args), WebFetch().title(args)) == (meant, Access(url=meant), meant)


@pytest.mark.parametrize("given", [{}, {"url": ""}, {"url": "x" * 9000}, {"url": "http://a.b", "max_chars": -1}, {"url": "http://a.b", "body": ""}])
def test_arguments_that_mean_nothing_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        WebFetchArgs.model_validate(given)


def test_importing_the_tool_imports_neither_httpx_nor_the_converter() -> None:
    program = (
        "import sys; import agentcli.tools.web_fetch; "
        "print([name for name in ('httpx', 'html_to_markdown', 'urllib.request') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_cancel_ends_a_fetch_at_once(site: Site, ctx: ToolContext) -> None:
    asked, left = threading.Event(), threading.Event()

    def silent(write: Callable[[bytes], object]) -> None:
        asked.set()
        left.wait(20)

    site.pages["/"] = Reply(write=silent)

    async def main() -> float:
        task = asyncio.create_task(fetcher().run(WebFetchArgs(url=site.url("/")), ctx))
        assert await asyncio.to_thread(asked.wait, 10)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - began

    try:
        assert asyncio.run(main()) < 2
    finally:
        left.set()
