r"""The formulas of the primitives' rows typeset as MathML, which browsers render without any library.

A small parser reads the LaTeX of the rows, as far as rows use it, into a tree: ``("msup", ("mi", "e"), ("mi", "x"))``.
In it letters are replaced by names or numbers, and it becomes markup here, or elements of a page in the player. A class
after a dot says what an element is for: a bracket (``mo.fence``), the upstream gradient (``mi.upstream``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from html import escape
from typing import TypeAlias

Math: TypeAlias = tuple["str | Math", ...]
"""A tag, and then its text or its children."""

_SYMBOLS = {
    r"\pi": "π", r"\sigma": "σ", r"\infty": "∞", r"\top": "⊤", r"\#": "#", r"\partial": "∂",
}  # fmt: skip
_OPERATORS = {
    "-": "−", r"\odot": "⊙", r"\le": "≤", r"\ge": "≥", r"\ne": "≠", r"\wedge": "∧", r"\vee": "∨", r"\neg": "¬",
    r"\oplus": "⊕", r"\cdot": "·", r"\times": "×", r"\circ": "∘", r"\pm": "±", r"\in": "∈", r"\star": "⋆", r"\ast": "∗",
    r"\dots": "…",
}  # fmt: skip
_FENCES = {r"\lfloor": "⌊", r"\rfloor": "⌋", r"\lceil": "⌈", r"\rceil": "⌉", r"\{": "{", r"\}": "}", "|": "|"}
_LARGE = {r"\sum": "∑", r"\prod": "∏", r"\bigwedge": "⋀", r"\bigvee": "⋁", r"\int": "∫"}
_FUNCTIONS = (
    "log", "exp", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "max", "min",
)  # fmt: skip
_SPACES = {r"\,": "thin", r"\ ": "wide", r"\;": "wide"}
_TOKEN = re.compile(r"\\(?:operatorname|mathbin|mathrel|mathit|mathrm|text)\{[^{}]*\}|\\[A-Za-z]+|\\.|\d+|\S")
_OPENING, _CLOSING = "([{⌊⌈", ")]}⌋⌉"
_PRODUCT: Math = ("mo.product", "\u2062")  # an invisible sign of multiplication
_GRADIENT: Math = ("mi.upstream", "g")
_NUMBER = re.compile(r"-?(\d+\.?\d*)(?:e([+-]\d+))?|-?inf|NaN")


@cache
def parse(latex: str) -> Math:
    r"""LaTeX of a row as a tree.

    Raises:
        ValueError: if it uses a command that is not known here.

    >>> parse(r"z = x \odot y")
    ('mrow', ('mi', 'z'), ('mo', '='), ('mi', 'x'), ('mo', '⊙'), ('mi', 'y'))
    >>> parse(r"e^{-x}")
    ('msup', ('mi', 'e'), ('mrow', ('mo.prefix', '−'), ('mi', 'x')))
    """
    return _Parser(_TOKEN.findall(latex)).row()


class _Parser:
    """Reads tokens from left to right."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0

    def row(self) -> Math:
        """Everything up to a closing brace or the end."""
        items: list[Math] = []
        while (token := self._peek()) and token != "}":
            atom = self._with_scripts(self._atom(items))
            if items and _is_operand(items[-1]) and _is_operand(atom):
                items.append(("mspace.thin",) if _is_function(items[-1]) else _PRODUCT)
            items.append(atom)
        return items[0] if len(items) == 1 else ("mrow", *items)

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]

    def _argument(self) -> Math:
        """A group in braces, or a single token."""
        if self._peek() != "{":
            return self._atom([])
        self._next()
        group = self.row()
        self._next()
        return group

    def _atom(self, before: Sequence[Math]) -> Math:
        if self._peek() == "{":
            return self._argument()
        token = self._next()
        if token == r"\frac":
            return ("mfrac", self._argument(), self._argument())
        if token == r"\sqrt":
            return ("msqrt", self._argument())
        if token == r"\bar":
            return ("mover", self._argument(), ("mo.accent", "¯"))
        if "{" in token and token.startswith("\\") and len(token) > 2:
            return self._worded(token)
        return _symbol(token, before)

    def _worded(self, token: str) -> Math:
        kind, text = token[1:-1].split("{")
        if kind == "mathrel" and self._peek() == "=":
            text += self._next()
        if kind.startswith("math") and kind not in ("mathit", "mathrm"):
            return ("mo", text)
        if kind == "text":
            return ("mtext", text.replace(" ", "\u00a0"))
        return ("mi.function" if kind == "operatorname" else "mi", text.replace(r"\,", "\u2009"))

    def _with_scripts(self, base: Math) -> Math:
        scripts: dict[str, Math] = {}
        while self._peek() in ("_", "^"):
            sign = self._next()
            scripts[sign] = self._argument()
        if not scripts:
            return base
        has_limits = (base[0] == "mo.large" and base[1] != "∫") or base[1] in (
            "max",
            "min",
            "arg\u2009max",
            "arg\u2009min",
        )
        if has_limits:
            return ("munder", base, scripts["_"])
        if len(scripts) == 2:
            return ("msubsup", base, scripts["_"], scripts["^"])
        return ("msub", base, scripts["_"]) if "_" in scripts else ("msup", base, scripts["^"])


def _symbol(token: str, before: Sequence[Math]) -> Math:
    """One token as an element."""
    if token in _SPACES:
        return (f"mspace.{_SPACES[token]}",)
    if token in _LARGE:
        return ("mo.large", _LARGE[token])
    if token in _FENCES or token in "()[]":
        return ("mo.fence", _FENCES.get(token, token))
    if token in "-+" and (not before or _expects_operand(before[-1])):
        return ("mo.prefix", _OPERATORS.get(token, token))
    if token.isdecimal():
        return ("mn", token)
    if token[1:] in _FUNCTIONS and token.startswith("\\"):
        return ("mi.function", token[1:])
    if token.isalpha() or token in _SYMBOLS:
        return ("mi", _SYMBOLS.get(token, token))
    if token.startswith("\\") and token not in _OPERATORS:
        raise ValueError(f"no MathML for {token}")
    return ("mo", _OPERATORS.get(token, token))


def _is_operand(math: Math) -> bool:
    """Whether it multiplies what stands beside it."""
    head = math[1] if math[0] in ("munder", "msubsup") else math
    return str(head[0]).split(".")[0] not in ("mo", "mtext", "mspace")


def _is_function(math: Math) -> bool:
    head = math[1] if math[0] in ("munder", "msub") else math
    return head[0] == "mi.function"


def _expects_operand(math: Math) -> bool:
    return math[0] in ("mo", "mo.prefix") or (math[0] == "mo.fence" and math[1] in tuple(_OPENING))


# Filling in ----------------------------------------------------------------------------------------------------------


def right_side(math: Math) -> Math:
    r"""What a formula says the output is: its part after the first equality sign, up to the second.

    >>> right_side(parse(r"z = \sigma(x) = \frac{1}{1 + e^{-x}}"))
    ('mrow', ('mi', 'σ'), ('mo.fence', '('), ('mi', 'x'), ('mo.fence', ')'))
    """
    equals = list(_outer_equals(math))
    start = equals[0] + 1 if equals else 1
    end = equals[1] if len(equals) > 1 and ("mo", ";") not in math else len(math)
    return _row(math[start:end])


def _outer_equals(math: Math) -> Iterator[int]:
    """Where the signs of equality stand that are not inside brackets."""
    depth = 0
    for i, child in enumerate(math):
        if child[0] == "mo.fence":
            depth += (child[1] in tuple(_OPENING)) - (child[1] in tuple(_CLOSING))
        elif child == ("mo", "=") and not depth:
            yield i


def local_derivative(latex: str) -> Math:
    r"""The factor by which a rule multiplies the upstream gradient.

    >>> local_derivative(r"\bar y = -\bar z \odot z / y")
    ('mrow', ('mo.prefix', '−'), ('mi', 'z'), ('mo', '/'), ('mi', 'y'))
    >>> local_derivative(r"\bar X = \bar Z Y^\top"), local_derivative(r"\bar x = \bar z")
    (('msup', ('mi', 'Y'), ('mi', '⊤')), ('mn', '1'))
    """
    rule = latex.split(" = ", 1)[-1]
    rule = re.sub(r"\\bar\s*z \\odot |\\bar\s*Z (?=\S)| \\bar\s*Z", "", rule)
    return parse(re.sub(r"\\bar\s*z", "1", rule))


def fill(math: Math, names: Mapping[str, str], *, of_numbers: bool = False) -> Math:
    r"""A formula with something else in the place of its letters, and g for the upstream gradient.

    Args:
        math: what `parse` returned.
        names: for letters the label or the number to put there; x and X are one letter.
        of_numbers: all inputs are numbers, so that the product element by element is a plain product.

    >>> fill(parse(r"x \odot y"), {"x": "3", "y": "-4"}, of_numbers=True)[1:4]
    (('mn', '3'), ('mo', '·'), ('mrow', ('mo.fence', '('), ('mo.prefix', '−'), ('mn', '4'), ('mo.fence', ')')))
    >>> fill(parse(r"\bar z \odot y"), {"y": "w"})
    ('mrow', ('mi.upstream', 'g'), ('mo', '⊙'), ('mi', 'w'))
    """
    tag, *children = math
    if tag == "mover" and children[0] in (("mi", "z"), ("mi", "Z")):
        return _GRADIENT
    if tag == "mi":
        return _replaced(math, names)
    if tag == "msup":
        return _power(math, names, of_numbers)
    if math == ("mo", "⊙") and of_numbers:
        return ("mo", "·")
    if tag != "mrow":
        return (
            tag,
            *(fill(child, names, of_numbers=of_numbers) if isinstance(child, tuple) else child for child in children),
        )
    return ("mrow", *_filled_row([child for child in children if isinstance(child, tuple)], names, of_numbers))


def _replaced(math: Math, names: Mapping[str, str]) -> Math:
    letter = str(math[1])
    text = names.get(letter, names.get(letter.lower()) if letter in "XYZ" else None)
    return math if text is None else label(text)


def _filled_row(children: list[Math], names: Mapping[str, str], of_numbers: bool) -> Iterator[Math]:
    filled = [fill(child, names, of_numbers=of_numbers) for child in children]
    for i, child in enumerate(filled):
        if child == _PRODUCT:
            yield ("mo", "·") if of_numbers or _is_number(filled[i + 1]) else ("mspace.wide",)
        elif child != children[i] and _is_negative(child) and i and filled[i - 1][-1] not in tuple(_OPENING):
            yield _bracketed(child)
        else:
            yield child


def _power(math: Math, names: Mapping[str, str], of_numbers: bool) -> Math:
    base, exponent = (fill(child, names, of_numbers=of_numbers) for child in math[1:] if isinstance(child, tuple))
    if base[0] == "mrow" and math[1] != base and base[1] != ("mo.fence", "("):
        base = _bracketed(base)  # a negative number, or one with a power of ten
    if math[2] == ("mrow", ("mi", "y"), ("mo", "−"), ("mn", "1")) and _NUMBER.fullmatch(names.get("y", "")):
        less = float(names["y"]) - 1
        return base if less == 1 else ("msup", base, label(f"{less:g}"))
    return ("msup", base, exponent)


def label(text: str) -> Math:
    """A name or a number as it is typeset.

    >>> label("q"), label("-4")
    (('mi', 'q'), ('mrow', ('mo.prefix', '−'), ('mn', '4')))
    >>> label("1e-09")[1:]
    (('mn', '1'), ('mo', '·'), ('msup', ('mn', '10'), ('mn', '−9')))
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        return ("mi", text)
    if text == "NaN":
        return ("mn", "NaN")
    digits: list[Math] = [("mn", match[1] or "∞")]
    if match[2]:
        digits += [("mo", "·"), ("msup", ("mn", "10"), ("mn", str(int(match[2])).replace("-", "−")))]
    sign: list[Math] = [("mo.prefix", "−")] if text.startswith("-") else []
    return _row((*sign, *digits))


def call(name: str, arguments: Sequence[str]) -> Math:
    """A function of some arguments.

    >>> call("concat", ["a", "b"])[1:4]
    (('mi.function', 'concat'), ('mo.fence', '('), ('mi', 'a'))
    """
    listed = [one for argument in arguments for one in (label(argument), ("mo", ","))][:-1]
    return ("mrow", ("mi.function", name), ("mo.fence", "("), *listed, ("mo.fence", ")"))


def _row(items: Sequence[str | Math]) -> Math:
    only = items[0] if len(items) == 1 else None
    return only if isinstance(only, tuple) else ("mrow", *items)


def _bracketed(math: Math) -> Math:
    return ("mrow", ("mo.fence", "("), *(math[1:] if math[0] == "mrow" else (math,)), ("mo.fence", ")"))


def _is_negative(math: Math) -> bool:
    return math[0] == "mrow" and math[1] == ("mo.prefix", "−")


def _is_number(math: Math) -> bool:
    return math[0] == "mn"


# Markup --------------------------------------------------------------------------------------------------------------

ATTRIBUTES: dict[str, dict[str, str]] = {
    "mo.fence": {"stretchy": "false", "lspace": "0", "rspace": "0"},
    "mo.prefix": {"form": "prefix"},
    "mo.accent": {"stretchy": "false"},
    "mo.large": {"movablelimits": "false"},
    "mspace.thin": {"width": "0.17em"},
    "mspace.wide": {"width": "0.33em"},
}
"""What elements of a class are told; the player's page gives them the same."""


def markup(math: Math) -> str:
    """A tree as a MathML element; all text is escaped.

    >>> markup(parse("x < 2"))
    '<math><mrow><mi>x</mi><mo>&lt;</mo><mn>2</mn></mrow></math>'
    """
    return f"<math>{_element(math)}</math>"


def _element(math: Math) -> str:
    tag, *children = math
    name, _, kind = str(tag).partition(".")
    attributes = ATTRIBUTES.get(str(tag)) or ({"class": kind} if kind else {})
    told = "".join(f' {key}="{value}"' for key, value in attributes.items())
    inside = "".join(_element(child) if isinstance(child, tuple) else escape(child) for child in children)
    return f"<{name}{told}>{inside}</{name}>"
