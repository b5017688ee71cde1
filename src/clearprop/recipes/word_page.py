"""A page about vectors of words: the nearest neighbours of some, analogies, and a map of the frequent ones.

One HTML file that needs nothing else, in light and dark as the reader has chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from clearprop.files.atomic import atomic_write
from clearprop.models import WordVectors

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_SHOWN = (
    "king", "queen", "lord", "father", "brother", "man", "love", "death", "blood", "sword", "heart", "eyes", "night",
    "day", "heaven", "england", "romeo", "rome", "good", "come", "shall", "thou", "three",
)  # fmt: skip
_ANALOGIES = (
    ("man", "woman", "king", "queen"), ("man", "woman", "father", "mother"), ("man", "woman", "brother", "sister"),
    ("man", "woman", "son", "daughter"), ("man", "woman", "lord", "lady"), ("man", "woman", "he", "she"),
    ("he", "him", "she", "her"), ("he", "his", "they", "their"), ("i", "my", "he", "his"), ("i", "me", "we", "us"),
    ("thou", "thy", "you", "your"), ("is", "was", "are", "were"), ("do", "did", "have", "had"),
    ("you", "have", "thou", "hast"), ("have", "has", "do", "does"), ("day", "night", "life", "death"),
    ("king", "kings", "lord", "lords"), ("son", "sons", "friend", "friends"), ("hand", "hands", "eye", "eyes"),
    ("good", "better", "much", "more"),
)  # fmt: skip
_NEIGHBOURS, _ANSWERS = 8, 5
_ON_MAP, _FIRST_ON_MAP = 120, 40  # the most frequent words say least
_WIDTH, _HEIGHT, _EDGE, _LETTER, _LINE = 960, 620, 30, 6.6, 14

_STYLE = """
:root{--paper:#fcfcfa;--raised:#f3f3ef;--ink:#1d2126;--quiet:#565e68;--rule:#d9dad4;--first:#1a5a9c;--third:#2b6e33;
color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--paper:#14171a;--raised:#1d2125;--ink:#e3e5e8;--quiet:#a2a9b2;--rule:#31373d;
--first:#7fb6ee;--third:#7fcf8a}}
body{margin:2rem auto;padding:0 1rem;max-width:62rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,"Segoe UI","Liberation Sans",sans-serif}
h1{font-size:1.7rem}h2{font-size:1.2rem;margin-top:2.2rem}
.quiet,.share{color:var(--quiet)}.share{font-size:.8em;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.92rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .9rem .35rem 0;border-top:1px solid var(--rule)}
td span{white-space:nowrap;margin-right:.7em}.right{color:var(--third);font-weight:600}
svg{width:100%;height:auto;background:var(--raised);border-radius:6px}svg text{fill:var(--ink);font-size:12px}
svg circle{fill:var(--first)}
"""


class Answered(NamedTuple):
    """An analogy: as the first is to the second, so is the third to the fourth; and the place of the fourth, from 1."""

    question: tuple[str, str, str, str]
    answers: list[tuple[str, float]]

    @property
    def is_right(self) -> bool:
        """Whether the fourth word is among the answers."""
        return self.question[3] in [word for word, _ in self.answers]


def analogies(vectors: WordVectors) -> list[Answered]:
    """The analogies whose four words are all known."""
    known = set(vectors.words)
    asked = [one for one in _ANALOGIES if known.issuperset(one)]
    return [Answered(one, vectors.analogy(*one[:3], count=_ANSWERS)) for one in asked]


def write_word_page(path: Path, vectors: WordVectors, counts: Array, about: str) -> None:
    """Write the page; FileError if that cannot be done.

    Args:
        vectors: of the words, most frequent first.
        counts: how often each word occurs.
        about: what the vectors are of, a sentence.
    """
    known = [word for word in _SHOWN if word in vectors.words]
    known = known if len(known) > len(_SHOWN) // 2 else list(vectors.words[_first_on_map(vectors) :][: len(_SHOWN)])
    occurring = dict(zip(vectors.words, counts.tolist(), strict=True))
    answered = analogies(vectors)
    page = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>Words and their company</title><style>{_STYLE}</style></head><body>",
        f"<h1>Words and their company</h1><p>{escape(about)}</p>",
        "<h2>Nearest neighbours</h2><p class=quiet>The cosine of the angle between two vectors says how alike they "
        "are: 1 is the same direction. In brackets, how often a word occurs.</p>",
        *_table(("word", "most like it"), (_neighbours(word, occurring[word], vectors) for word in known)),
        *_analogy_section(answered),
        "<h2>A map</h2><p class=quiet>The frequent words, without the most frequent, in the two directions in which "
        "their vectors differ most (principal components).</p>",
        *_map(vectors, counts),
        "</body></html>\n",
    ]
    with atomic_write(path) as file:
        file.write("\n".join(page).encode())


def _table(heads: Sequence[str], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    """Cells are HTML already."""
    yield '<div class="scroll"><table><thead><tr>' + "".join(f'<th scope="col">{head}</th>' for head in heads)
    yield "</tr></thead><tbody>"
    for first, *others in rows:
        yield f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others) + "</tr>"
    yield "</tbody></table></div>"


def _neighbours(word: str, count: int, vectors: WordVectors) -> tuple[str, ...]:
    found = (_with_share(*one) for one in vectors.neighbours(word, _NEIGHBOURS))
    return f'{escape(word)} <span class="share">({count:,})</span>', " ".join(found)


def _with_share(word: str, cosine: float, kind: str = "") -> str:
    return f'<span{kind}>{escape(word)} <span class="share">{cosine:.2f}</span></span>'


def _analogy_section(answered: list[Answered]) -> Iterator[str]:
    yield "<h2>Analogies</h2>"
    if not answered:
        yield "<p>The text has none of the words that are asked for here.</p>"
        return
    right = sum(one.is_right for one in answered)
    first = sum(one.answers[0][0] == one.question[3] for one in answered)
    yield (
        f"<p>What is to the third word as the second is to the first? The answer is looked for near second − first + "
        f"third. Of {len(answered)}, {first} have the expected word in the first place and {right} among the first "
        f"{_ANSWERS}. Vectors that answer most such questions were learned from texts of billions of words.</p>"
    )
    yield from _table(("question", "expected", "nearest"), map(_answer, answered))


def _answer(one: Answered) -> tuple[str, ...]:
    first, second, third, fourth = map(escape, one.question)
    shown = (_with_share(*found, kind=' class="right"' if found[0] == one.question[3] else "") for found in one.answers)
    return f"{first} : {second} = {third} : …", fourth, " ".join(shown)


def _map(vectors: WordVectors, counts: Array) -> Iterator[str]:
    """Dots with words; where names would lie upon each other, only the more frequent word has one."""
    start = _first_on_map(vectors)
    words = vectors.words[start : start + _ON_MAP]
    rows = vectors.directions[start : start + _ON_MAP].astype(np.float64)
    centred = rows - rows.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    places = centred @ directions[:2].T
    low, high = places.min(axis=0), places.max(axis=0)
    scaled = (places - low) / np.where(high > low, high - low, 1.0)
    xs = _EDGE + scaled[:, 0] * (_WIDTH - 3 * _EDGE - 40)
    ys = _EDGE + scaled[:, -1] * (_HEIGHT - 2 * _EDGE)
    yield f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="map-title">'
    yield f'<title id="map-title">A map of {len(words)} frequent words</title>'
    taken: list[tuple[float, float, float]] = []
    for word, count, x, y in zip(words, counts[start:], xs, ys, strict=False):
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"><title>{escape(word)}: {count:,} times</title></circle>'
        end = x + 6 + _LETTER * len(word)
        if all(end < left or right < x or abs(y - above) > _LINE for left, right, above in taken):
            taken.append((x, end, y))
            yield f'<text x="{x + 5:.1f}" y="{y + 4:.1f}">{escape(word)}</text>'
    yield "</svg>"


def _first_on_map(vectors: WordVectors) -> int:
    """The number of the most frequent word that is not left out for saying little."""
    return min(_FIRST_ON_MAP, max(len(vectors.words) - _ON_MAP, 0))
