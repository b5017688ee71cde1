"""Every example is run by `make examples`, and stands in the table of its README."""

from __future__ import annotations

import runpy
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples"


def test_every_example_has_its_row_and_is_run() -> None:
    examples = runpy.run_path(str(FOLDER / "all.py"))["EXAMPLES"]
    scripts = {path.stem for path in FOLDER.glob("*.py")} - {"all"}
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert {one.name for one in examples} == scripts
    assert all(f"`python examples/{name}.py`" in readme for name in scripts)
