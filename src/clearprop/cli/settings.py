"""The settings of recipes as options of the command line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

from clearprop.recipes import RECIPES, Recipe, Settings
from clearprop.recipes.running import as_text
from clearprop.recipes.settings import Setting, describe

_ABOUT = "What is computed. The defaults are well tried."


def add_recipes(parser: argparse.ArgumentParser, common: Callable[[argparse.ArgumentParser], None]) -> None:
    """A sub-command for each recipe, whose options are its settings.

    Args:
        common: adds the options that all of them have; without defaults of their own, as the parser has them already.
    """
    title = f"recipes (each explains its settings: {parser.prog} {next(iter(RECIPES))} --help)"
    chosen = parser.add_subparsers(dest="recipe", metavar="RECIPE", title=title)
    for recipe in RECIPES.values():
        own = chosen.add_parser(
            recipe.name,
            help=recipe.about,
            description=recipe.about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        common(own)
        _add_settings(own, recipe)


def given_settings(options: argparse.Namespace, recipe: Recipe) -> dict[str, Any]:
    """The settings that the user has named."""
    names = [one.name for one in describe(type(recipe.settings))]
    return {name: value for name in names if (value := getattr(options, name, None)) is not None}


def chosen_settings(options: argparse.Namespace, recipe: Recipe) -> Settings:
    """The settings of the recipe, with what the user has named."""
    return recipe.settings.changed(given_settings(options, recipe))


def _add_settings(parser: argparse.ArgumentParser, recipe: Recipe) -> None:
    group = parser.add_argument_group("settings", _ABOUT)
    for one in describe(type(recipe.settings)):
        usual = getattr(recipe.settings, one.name)
        flag, text = f"--{one.name.replace('_', '-')}", one.option.help.replace("%", "%%")
        if one.kind == "bool":
            # Python 3.11 and 3.12 write the default into such a help by themselves, later ones do not
            group.add_argument(flag, dest=one.name, action=argparse.BooleanOptionalAction, help=text, default=None)
        elif one.option.choices:
            help = f"{text} (default: {usual})"
            group.add_argument(flag, dest=one.name, choices=one.option.choices, help=help)
        else:
            help = f"{text} (default: {_default(usual)})"
            group.add_argument(
                flag, dest=one.name, type=_PARSERS[one.kind](one), metavar=_METAVARS[one.kind], help=help
            )


def _default(value: Any) -> str:
    if value == "":
        return "none"
    return f"{value:g}" if isinstance(value, float) else as_text(value)


def whole(least: int) -> Callable[[str], int]:
    """What reads a whole number from `least` on."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least or int(text) >= 2**63:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} on")
        return int(text)

    return parse


def _number(least: float, below: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value < below:
            limits = f"from {least:g} on" if below == math.inf else f"from {least:g} to below {below:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {limits}")
        return value

    return parse


def _widths(text: str) -> tuple[int, ...]:
    """Widths of layers, such as ``256,128``; ``0`` for no layers.

    >>> _widths("256,128"), _widths("0")
    ((256, 128), ())
    """
    parts = [part.strip() for part in text.split(",")]
    if parts == ["0"]:
        return ()
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= 100_000 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} are not widths, whole numbers with commas between them: 256,128")
    return tuple(int(part) for part in parts)


def _of_number(one: Setting) -> Callable[[str], float]:
    option = one.option
    least, below = option.least, option.below
    return _number(-math.inf if least is None else least, math.inf if below is None else below)


_PARSERS: dict[str, Callable[[Setting], Callable[[str], Any]]] = {
    "whole": lambda one: whole(int(one.option.least or 0)),
    "number": _of_number,
    "widths": lambda one: _widths,
    "text": lambda one: str,
}
_METAVARS = {"whole": "N", "number": "X", "widths": "N,N,…", "text": "TEXT"}
