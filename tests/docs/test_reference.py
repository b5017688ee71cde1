"""The reference names everything that is public, and everything public explains itself."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
WITHOUT_EXAMPLE = re.compile(
    r".*(Error|Warning|Interrupted)$"  # what is raised
    r"|(Tensor|Cell|Buffer|Node|HookHandle|Summary|SummaryRow|Example|Run|Evaluation)$"  # what others give
    r"|(CrossValidation|Landscape|LRRangeTest|Overfit|Search|Trained|Trials|BertOutput)$"  # the same
    r"|(Tokenizer|Optimizer)$"  # base classes
    r"|(mnist|cifar10|tiny_shakespeare)$"  # they would be downloaded
)


def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "scripts" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = reference()
PUBLIC = {
    f"{prefix}.{name}": getattr(module, name)
    for _, prefix, module, names in SCRIPT.rooms()
    for name in SCRIPT.names_of(module, names)
}


def test_every_public_name_is_in_the_reference_and_no_other() -> None:
    page = SCRIPT.PAGE.read_text(encoding="utf-8")
    shown = set(re.findall(r"^\| `([\w.]+)` \|", page, re.MULTILINE))
    assert shown == set(PUBLIC), "python scripts/make_reference.py writes it anew"


def test_every_public_function_and_class_shows_an_example() -> None:
    without = [
        name
        for name, one in PUBLIC.items()
        if ">>> " not in (one.__doc__ or "") and not WITHOUT_EXAMPLE.match(name.rpartition(".")[2])
    ]
    assert not without
