r"""The formulas of the primitives' rows as plain text, with names or numbers in the place of their letters.

The rows say in LaTeX what an operation computes (``z = x \odot y``) and what it hands back (``\bar x = \bar z \odot
y``). From the second follows the local derivative: it is what the upstream gradient ``\bar z`` is multiplied by. So
terminal, documentation and rules cannot tell different stories.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

_WORDS = {
    r"\odot": "·", r"\top": "ᵀ", r"\sigma": "σ", r"\pi": "π", r"\sum": "∑", r"\prod": "∏", r"\int": "∫", r"\infty": "∞",
    r"\lfloor": "⌊", r"\rfloor": "⌋", r"\le": "≤", r"\ge": "≥", r"\ne": "≠", r"\dots": "…", r"\bigwedge": "⋀",
    r"\bigvee": "⋁", r"\wedge": "∧", r"\vee": "∨", r"\neg": "¬", r"\oplus": "⊕", r"\lceil": "⌈", r"\rceil": "⌉",
    r"\in": "∈", r"\pm": "±", r"\cdot": "·", r"\times": "×", r"\circ": "∘", r"\partial": "∂",
    r"\star": "⋆", r"\ast": "∗",
}  # fmt: skip
_WRAPPERS = r"operatorname|mathbin|mathrel|mathit|mathrm|text"
_LETTER = re.compile(r"(?<![^\W\d_])([cwxyzXYZ])(?![^\W_ᵀ])")


@cache
def plain(latex: str) -> str:
    r"""LaTeX of a row, as far as rows use it, in plain text.

    >>> plain(r"z = \sigma(x) = \frac{1}{1 + e^{-x}}"), plain(r"\bar X = \bar Z Y^\top")
    ('z = σ(x) = 1/(1 + e^(-x))', 'X̄ = Z̄ @ Yᵀ')
    """
    text = re.sub(r"\\bar\s*([A-Za-z])", "\\1\u0304", latex)
    text = re.sub(r"\\[,; ]", " ", text).replace(r"\sqrt\pi", "√π").replace("^*", "*")
    text = text.replace(r"\#\{", "#⟨").replace(r"\}", "⟩")
    before = ""
    while before != text:  # from the innermost braces outwards
        before = text
        text = re.sub(rf"\\(?:{_WRAPPERS})\{{([^{{}}]*)\}}", r"\1", text)
        text = re.sub(r"\\sqrt\{([^{}]*)\}", r"√(\1)", text)
        text = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", lambda m: f"{_grouped(m[1])}/{_grouped(m[2])}", text)
        text = re.sub(r"([_^])\{([^{}]*)\}", _raised, text)
    text = re.sub(r"\\sqrt\s*", "√", text)
    text = re.sub(r"\\[A-Za-z]+", lambda m: _WORDS.get(m[0], m[0][1:]), text)
    text = text.replace("^ᵀ", "ᵀ").replace("⟨", "{").replace("⟩", "}")
    text = text.replace("∑_axes", "∑")
    text = re.sub(r"log_(\d+)", r"log\1", text)
    text = re.sub(r"(?<![^\W_])(\d+|[xyz]|√π)\s(?=[a-z√])", r"\1·", text)  # 2 z is a product
    return re.sub(r"\b([XYZ][\u0304ᵀ]?) (?=[XYZ])", r"\1 @ ", text)


def _grouped(text: str) -> str:
    return text if re.fullmatch(r"[\w√]+", text) else f"({text})"


def _raised(match: re.Match[str]) -> str:
    sign, text = match[1], match[2]
    if sign == "_":
        return f"_{text}"
    return f"^{text}" if re.fullmatch(r"\w+", text) else f"^({text})"


def right_side(formula: str) -> str:
    r"""What a formula says the output is, in plain text: its part after the first equality sign.

    >>> right_side(r"z = x \odot y"), right_side(r"z = \sigma(x) = \frac{1}{1 + e^{-x}}")
    ('x · y', 'σ(x)')
    """
    text = plain(formula).split(" = ", 1)[-1]
    return text if ";" in text else text.split(" = ", 1)[0]


def local_derivative(backward: str) -> str:
    r"""The factor by which a rule multiplies the upstream gradient, in plain text.

    >>> local_derivative(r"\bar x = \bar z \odot y"), local_derivative(r"\bar y = -\bar z \odot z / y")
    ('y', '-z / y')
    >>> local_derivative(r"\bar x = \bar z"), local_derivative(r"\bar X = \bar Z Y^\top")
    ('1', 'Yᵀ')
    """
    text = plain(backward).split(" = ", 1)[-1]
    text = re.sub("z\u0304 · |Z\u0304 @ | @ Z\u0304", "", text)
    text = text.replace("z\u0304", "1")
    return text[1:-1] if re.fullmatch(r"\([^()]*\)", text) else text


def in_terms_of_g(backward: str) -> str:
    r"""The whole right side of a rule in plain text, with g for the upstream gradient.

    >>> in_terms_of_g(r"\bar Y = X^\top \bar Z"), in_terms_of_g(r"\bar x = \sum_{\mathit{axes}} \bar z")
    ('Xᵀ @ g', '∑ g')
    """
    return re.sub("[zZ]\u0304", "g", plain(backward).split(" = ", 1)[-1])


def fill(text: str, values: Mapping[str, str]) -> str:
    """A plain formula with something else in the place of its letters; negative numbers are put in parentheses.

    >>> fill("x · y", {"x": "3", "y": "-4"}), fill("y · x^(y-1)", {"x": "a", "y": "3"})
    ('3 · (-4)', '3 · a^2')
    """

    def replaced(match: re.Match[str]) -> str:
        letter = match[1]
        value = values.get(letter, values.get(letter.lower(), letter))
        if not value.startswith("-"):
            return value
        before, after = text[: match.start()].rstrip(), text[match.end() :].lstrip()
        opened = not before or before[-1] in "([|⌊,"
        return value if opened and not after.startswith("^") else f"({value})"

    filled = re.sub(r"(?<=[a-z]) \((?=-)", "(", _LETTER.sub(replaced, text))  # log(-1), not log (-1)
    return _computed_exponents(filled)


def _computed_exponents(text: str) -> str:
    """``x^(3-1)`` as ``x^2``, ``x^(2-1)`` as ``x``."""

    def computed(match: re.Match[str]) -> str:
        exponent = float(match[1].strip("()")) - 1
        if exponent == 1:
            return ""
        return f"^{exponent:g}" if exponent >= 0 else f"^({exponent:g})"

    return re.sub(r"\^\((\(-[\d.]+\)|-?[\d.]+)-1\)", computed, text)
