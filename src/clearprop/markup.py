"""Small pieces of HTML for notebooks: what a tensor, a network or a tape shows of itself there.

No scripts, nothing from elsewhere, light and dark as the reader has chosen, all text escaped. The text in brackets that
``print`` shows of these objects is not touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

STYLE = """<style>
.cp-card{--paper:#fcfcfa;--raised:#f3f3ef;--ink:#1d2126;--quiet:#565e68;--rule:#d9dad4;--first:#1a5a9c;--second:#a8440b;
--third:#8a2a7d;color-scheme:light dark;background:var(--paper);color:var(--ink);border:1px solid var(--rule);
border-radius:6px;padding:.6em .9em;max-width:100%;overflow-x:auto;font:13px/1.5 system-ui,sans-serif;text-align:left}
@media (prefers-color-scheme:dark){.cp-card{--paper:#14171a;--raised:#1d2125;--ink:#e3e5e8;--quiet:#a2a9b2;
--rule:#31373d;--first:#7fb6ee;--second:#f0a061;--third:#e59adb}}
.cp-card pre{margin:.4em 0 0;background:none;color:inherit;font:12px/1.45 ui-monospace,Menlo,Consolas,monospace;
white-space:pre}
.cp-card code{font:12px ui-monospace,Menlo,Consolas,monospace;background:none;color:inherit}
.cp-card .quiet{color:var(--quiet)}
.cp-card .name{color:var(--first)}
.cp-card .remark,.cp-card .warning{color:var(--second)}
.cp-card .pattern{color:var(--third);font-style:italic}
.cp-card .strong{font-weight:600}
.cp-card ul{list-style:none;margin:0;padding-left:1.2em;border-left:1px solid var(--rule)}
.cp-card summary{cursor:pointer}
.cp-card summary:focus-visible{outline:2px solid var(--first)}
</style>"""

_NO_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127], "\N{REPLACEMENT CHARACTER}")


def text(value: str) -> str:
    """Text as HTML: escaped, and without control characters.

    >>> text('<b> & "c"')
    '&lt;b&gt; &amp; &quot;c&quot;'
    """
    return escape(value.translate(_NO_CONTROLS))


def facts(parts: Iterable[str]) -> str:
    """Short facts in a row, those that are not empty; texts, which are escaped here."""
    return " · ".join(text(part) for part in parts if part)


def card(title: str, about: Iterable[str], *body: str) -> str:
    """A card with a title, facts beside it, and pieces of HTML below.

    >>> card("Tensor", ["float32", "2×3"], "<pre>0</pre>").splitlines()[-1]
    '<div><b>Tensor</b> <span class="quiet">float32 · 2×3</span></div><pre>0</pre></div>'
    """
    head = f'<div><b>{text(title)}</b> <span class="quiet">{facts(about)}</span></div>'
    return f'<div class="cp-card">{STYLE}\n{head}{"".join(body)}</div>'
