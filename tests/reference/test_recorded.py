"""Are the recorded figures PyTorch's? Runs where torch is installed (/tmp/venv-torch, `make bench`)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent


def test_recorded_figures_are_what_torch_computes_here() -> None:
    pytest.importorskip("torch", reason="torch is not installed: its recorded figures are taken as they are")
    spec = importlib.util.spec_from_file_location("make_torch_figures", HERE / "make_torch_figures.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    compare(json.loads(script.text(script.figures())), json.loads(script.FILE.read_text()), "")


def compare(live: Any, recorded: Any, place: str) -> None:
    if isinstance(recorded, dict):
        assert live.keys() == recorded.keys(), place
        for key in recorded:
            compare(live[key], recorded[key], f"{place}.{key}")
    elif isinstance(recorded, list) and any(isinstance(entry, (dict, str, list)) for entry in recorded):
        assert len(live) == len(recorded), place
        for i, (one, other) in enumerate(zip(live, recorded, strict=True)):
            compare(one, other, f"{place}[{i}]")
    elif isinstance(recorded, (list, float)):
        np.testing.assert_allclose(live, recorded, rtol=1e-11, atol=1e-14, err_msg=place)
    else:
        assert live == recorded, place
