"""The documentation is right: its Python examples run, and its terminal sessions print what they show.

The ``python`` blocks of a page are one session, from top to bottom. A ``console`` block is a command line after ``$``
and its output.
"""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from clearprop.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a language, each with the line it begins at."""
    text = page.read_text(encoding="utf-8")
    fences = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, match.start(1)), match[1]) for match in fences]


CONSOLE = [
    pytest.param(*block.split("\n", 1), id=f"{page.name}:{line}")
    for page in PAGES
    for line, block in blocks(page, "console")
    if block.startswith("$ clearprop explain")
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_examples_of_a_page_run(page: Path) -> None:
    report: list[str] = []
    lines: list[str] = []
    for line, block in blocks(page, "python"):  # one session, with the page's own line numbers
        lines += [""] * (line - len(lines)) + block.splitlines()
    session = doctest.DocTestParser().get_doctest("\n".join(lines) + "\n", {}, page.name, str(page), 0)
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(session, out=report.append)
    assert not report, "\n".join(report)


def test_the_code_in_the_readme_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # it saves weights
    names: dict[str, Any] = {}
    for _, script in blocks(ROOT / "README.md", "python"):
        exec(compile(script, "README.md", "exec"), names)
    assert "Tensor(-4., dtype=float32) Tensor(-4., dtype=float32) Tensor(3., dtype=float32)" in capsys.readouterr().out
    losses = names["history"].column("val_loss")
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(("command", "output"), CONSOLE)
def test_a_terminal_session_prints_what_the_page_shows(
    command: str, output: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(shlex.split(command)[2:]) == 0
    assert capsys.readouterr().out == output


def test_the_worked_examples_are_among_the_pages() -> None:
    page = ROOT / "docs" / "worked-examples.md"
    assert sum(block.count(">>>") for _, block in blocks(page, "python")) > 60
    assert len(blocks(page, "console")) == 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
