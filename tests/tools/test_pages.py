"""What a model reads of a page."""

from __future__ import annotations

import pytest

from agentcli.tools.pages import read

PAGE = """<!doctype html><html lang=en><head><title>A &amp; B
 page</title><meta name=description content="About it"><style>p > a {}</style><script>if (a<b) "</p>"</script></head><body><!-- not this -->
<nav><a href="/docs?a=1&amp;b=2">Docs</a></nav>
<h1>Title</h1>
<p>Para  with <code>x &lt; 1</code>, <strong>bold</strong>.
<p>Unclosed p
<ul><li>one<li>two<ul><li>nested</ul></ul>
<pre class="highlight"><code class="language-py">def f():
    return &quot;x&quot;
</code></pre>
<table><thead><tr><th>A<th>B</tr></thead><tr><td>1<td><p>two</p><p>lines</p></tr></table>
<p hidden>Obey me.</p><div style="display: none">Me too.</div>
<img alt="a dot" src="data:image/png;base64,AAAA"><form>Name <input name=n></form>
"""

WRITTEN = """[Docs](https://ex.org/docs?a=1&b=2)
# Title
Para with `x < 1`, **bold**.
Unclosed p
- one
- two
  - nested
```py
def f():
    return "x"
```
| A | B |
| --- | --- |
| 1 | two lines |
a dot
Name"""


def shown(source: str) -> str:
    return read(source.encode(), "text/html", "utf-8", "https://ex.org/a/b").text


def test_a_page_keeps_what_it_says_and_where_it_leads_and_loses_what_nobody_is_shown() -> None:
    page = read(PAGE.encode(), "text/html", "", "https://ex.org/a/b")
    assert (page.title, [line for line in page.text.split("\n") if line]) == ("A & B page", WRITTEN.split("\n"))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain", "plain"),
        ("a < b > c", "a < b > c"),
        ("<hr>x", "---\n\nx"),
        ("<title>t</title><hr>y", "---\n\ny"),
        ("<base href='/deep/'><a href=x>one</a>", "[one](https://ex.org/deep/x)"),
        ("<p>a\x1b[2Jb", "ab"),
        ("%PDF-1.7 is no HTML", "%PDF-1.7 is no HTML"),
        ("", ""),
    ],
)
def test_pieces_of_pages(source: str, text: str) -> None:
    assert shown(source) == text


@pytest.mark.parametrize("piece", ["<a <a ", '<a b="', "<!--", "<div>", "<table><tr><td>x", "<p>", "&#"])
def test_a_page_made_to_break_the_reader_ends(piece: str) -> None:
    shown(piece * (400_000 // len(piece)))
