"""``clearprop check``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clearprop.cli import BAD_INPUT, OK, main
from clearprop.data import ArrayDataset, DataLoader
from clearprop.recipes import RECIPES


def test_a_recipe_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "digits", "--hidden", "32"]) == OK
    out = capsys.readouterr().out
    assert "✓ gradients              one comes to each of 4 parameters" in out
    assert out.splitlines()[-1] == "9 passed"


def test_what_fails_is_an_exit_code(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPES["digits"]
    spoiled = DataLoader(ArrayDataset(np.full((64, 1, 8, 8), np.nan, np.float32), np.zeros(64, np.int64)))
    changed = replace(recipe, task=lambda settings, folder: replace(recipe.task(settings, folder), data=spoiled))
    monkeypatch.setattr("clearprop.cli.check.RECIPES", {"digits": changed})
    assert main(["check", "digits"]) == 1
    assert "✗ data" in capsys.readouterr().out


def test_bad_input_is_no_traceback(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", "nonsense"])
    assert ended.value.code == BAD_INPUT
    assert "invalid choice" in capsys.readouterr().err
    assert main(["check", "mnist", "--data", str(tmp_path / "nowhere")]) == BAD_INPUT
    assert "Traceback" not in capsys.readouterr().err
