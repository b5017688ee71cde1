"""The pictures in the documentation are those that are made of what it says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]


SCRIPT = runpy.run_path(str(ROOT / "scripts" / "make_pictures.py"))
STUDIES = runpy.run_path(str(ROOT / "scripts" / "make_studies.py"))


def without_norms(svg: str) -> str:
    """Norms differ in the last digit from machine to machine, and so do the names that are made from all text."""
    return re.sub(r"‖[^‖]*‖|\d[\d.e-]* … [\d.e-]+|cp-[0-9a-f]{10}", "", svg)


@pytest.mark.parametrize("name", SCRIPT["PICTURES"])
def test_the_pictures_are_up_to_date(name: str) -> None:
    there = (SCRIPT["FOLDER"] / name).read_text(encoding="utf-8")
    made = SCRIPT["PICTURES"][name]().svg
    assert without_norms(made) == without_norms(there), "python scripts/make_pictures.py draws it anew"


@pytest.mark.parametrize("name", STUDIES["PICTURES"])
def test_a_study_and_the_index_show_its_picture(name: str) -> None:
    picture = STUDIES["FOLDER"] / f"{name}.svg"
    titles = [one.text for one in ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}title")]
    assert titles[0]
    for page in (f"{name}.md", "README.md"):
        assert f"](pictures/{picture.name})" in (STUDIES["PAGES"] / page).read_text(encoding="utf-8")


def test_every_study_is_in_the_index_and_has_a_picture() -> None:
    pages = {page.stem for page in STUDIES["PAGES"].glob("*.md")} - {"README"}
    assert set(STUDIES["PICTURES"]) <= pages
    index = (STUDIES["PAGES"] / "README.md").read_text(encoding="utf-8")
    assert pages == set(re.findall(r"\]\((\w+)\.md\)", index))


def test_a_picture_of_a_study_is_made_of_its_page() -> None:
    """Of the one page whose numbers are the same on every machine: they are counted."""
    page = STUDIES["session"](STUDIES["PAGES"] / "connections.md")
    there = (STUDIES["FOLDER"] / "connections.svg").read_text(encoding="utf-8")
    made = STUDIES["PICTURES"]["connections"](page).svg
    assert what_is_drawn(made) == what_is_drawn(there), "python scripts/make_studies.py draws it anew"


def what_is_drawn(svg: str) -> list[str]:
    """A picture without the style that all of them share, word by word."""
    return re.sub(r"<style>.*?</style>", "", svg, flags=re.DOTALL).split()
