"""The pictures of graphs in the documentation are those that `draw` makes."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


SCRIPT = runpy.run_path(str(ROOT / "scripts" / "make_pictures.py"))


def without_norms(svg: str) -> str:
    """Norms differ in the last digit from machine to machine, and so do the names that are made from all text."""
    return re.sub(r"‖[^‖]*‖|\d[\d.e-]* … [\d.e-]+|cp-[0-9a-f]{10}", "", svg)


@pytest.mark.parametrize("name", SCRIPT["PICTURES"])
def test_the_pictures_are_up_to_date(name: str) -> None:
    there = (SCRIPT["FOLDER"] / name).read_text(encoding="utf-8")
    made = SCRIPT["PICTURES"][name]().svg
    assert without_norms(made) == without_norms(there), "python scripts/make_pictures.py draws it anew"
