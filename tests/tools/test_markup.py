from __future__ import annotations

import time

import pytest

from agentcli.tools.markup import Markdown, Tag, markdown, tokens

PAGE = """<!doctype html><html lang=en><head><title>A &amp; B
 page</title><style>p > a {}</style><script>if (a<b) "</p>"</script><body><!-- not > this -->
<nav><a href="#top">Top</a> <a href="/docs?a=1&amp;b=2">Docs</a></nav>
<h1>Title <a href="#p" class=anchor>¶</a></h1>
<p>Para  with <code>x &lt; 1</code>,
 <strong>bold</strong> and <img src=x alt="a picture"> and <a href='http://e.com/x y'> spaced </a>link.<br>second line
<p>Unclosed p
<ul><li>one<li>two <b>b</b><ul><li>nested<ol start=3><li>three</li><li>four<p>more of four</p></li></ol></ul></li><li><p>para item</p></ul>
<pre class="highlight"><code class="language-py">def f():
    return &quot;x&quot;

</code></pre>
<blockquote><p>quoted<br>twice</p></blockquote>
<table><thead><tr><th>A<th>B</tr></thead><tr><td>1<td><p>two</p><p>lines</p></tr><tr><td>3</td><td></td></tr></table>
<a href=/card><div>Card</div></a>
<dl><dt>Term<dd>Def</dl> 1 < 2 & 3 &copy; <hr>
<table><tr><td>side<td><table><tr><td>in1<td>in2</table>after</table> tail
"""

WRITTEN = """Top [Docs](https://ex.org/docs?a=1&b=2)

# Title ¶

Para with `x < 1`, bold and a picture and [spaced](http://e.com/x%20y)link.
second line

Unclosed p

- one
- two b
  - nested
    3. three
    4. four

      more of four

- para item

```py
def f():
    return "x"
```

> quoted
> twice

| A | B |
| --- | --- |
| 1 | two lines |
| 3 |  |

Card (https://ex.org/card)

Term

Def

1 < 2 & 3 ©

---

side

| in1 | in2 |

after

tail"""


def test_a_page_of_all_that_pages_hold() -> None:
    assert markdown(PAGE, "https://ex.org/a/b") == Markdown(WRITTEN, "A & B page")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", ""),
        ("plain", "plain"),
        ("a < b > c", "a < b > c"),
        ("a <b", "a"),
        ("before<script>never closed <p>x", "before"),
        ("before<!-- never closed", "before"),
        ("<!-->after", "after"),
        ("<p title='>'>x</p>", "x"),
        ('<p title="a>b" data=c">x</p>', "x"),
        ("<p/>x</p  >y</unknown>", "x\n\ny"),
        ("<?php echo 1 ?>x<![CDATA[y]]>z", "xz"),
        ("<STYLE>a</Style >b", "b"),
        ("<script><!-- </script> -->b", "-->b"),
        ("</li></ul></table></td></pre></a>x", "x"),
        ("<pre><div>one</div><div>two</div></pre>", "```\none\ntwo\n```"),
        ("<pre>```\nx</pre>", "````\n```\nx\n````"),
        ("<pre>\n  indented\r\n</pre>", "```\n  indented\n```"),
        ("<table><tr><td><pre>a\n b</pre><td>c</table>", "| a b | c |"),
        ("<td>no table</td><td>here", "no tablehere"),
        ("<noscript>Turn it on</noscript>", "Turn it on"),
        ("<a href=''>e</a> <a href='javascript:x()'>j</a> <a href='data:a'>d</a> <a href='http://[bad'>b</a>", "e j d b"),
        ("<a href=x>one <a href=y>two</a>", "[one](http://h/x)[two](http://h/y)"),
        ("<base href='/deep/'><a href=x>one</a>", "[one](http://h/deep/x)"),
        ("<a href=x><img src=y></a><a href=z><img alt='a b'></a>", "[a b](http://h/z)"),
        ("<p>a<a href=x> b </a>c", "a [b](http://h/x)c"),
        ("x&#0;&#xD800;&bogus;&amp", "x\ufffd\ufffd&bogus;&"),
    ],
)
def test_pieces_of_pages_that_are_not_well_formed(source: str, text: str) -> None:
    assert markdown(source, "http://h/p").text == text


def test_attributes_in_every_spelling() -> None:
    assert list(tokens("<A HREF = 'x' b=\"y&amp;z\" c=d/e f g=>t</A >")) == [
        Tag("a", {"href": "x", "b": "y&z", "c": "d/e", "f": "", "g": ""}), "t", Tag("a", closes=True),
    ]  # fmt: skip


HOSTILE = {
    "tags that never end": "<a <a ",
    "quotes that never end": '<a b="',
    "both quotes": "<a b='\"",
    "angle brackets": "<",
    "comments": "<!--",
    "declarations": "<!",
    "end tags": "</a ",
    "attributes": "a=b c = d ",
    "blanks": " \t\n",
    "entities": "&#",
    "paragraphs": "<p>",
    "deep divs": "<div>",
    "deep lists": "<ul><li>x",
    "deep quotes": "<blockquote>x",
    "deep tables": "<table><tr><td>x",
    "links": "<a href=x>",
    "cards": "<a href=x><p>y</a>",
    "pre": "<pre>",
    "titles": "<title>",
    "scripts": "<script></script>",
    "breaks": "x<br>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_page_made_to_be_slow_is_not(name: str) -> None:
    """Twenty times as much may take long, but not four hundred times as long; the least of three counts, for the machine is shared."""

    def seconds(size: int) -> float:
        source = ("<div " if name == "attributes" else "") + HOSTILE[name] * (size // len(HOSTILE[name]))
        times = []
        for _ in range(3):
            began = time.process_time()
            markdown(source, "http://h/p")
            times.append(time.process_time() - began)
        return min(times)

    assert seconds(400_000) < 80 * max(seconds(20_000), 0.005)
