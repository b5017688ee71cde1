"""The official suite of the array API standard, https://github.com/data-apis/array-api-tests, run on clearprop.

It is fetched once and kept with the other downloads; or the environment variable ``ARRAY_API_TESTS`` names a checkout
of the release below, with its submodule. What is not passed stands in standard_suite.txt, each with its reason.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

import clearprop as cp
from clearprop.caches import cache_folder

REPOSITORY = "https://github.com/data-apis/array-api-tests"
COMMIT = "41379d15d26d67a1e66c840e775d41a8a7fb1516"  # release 2026.02.26, the last that runs without complex dtypes
LIST = Path(__file__).with_name("standard_suite.txt")
REQUIRED_SHARE = 0.95
EXAMPLES = 30
"""For each test; always the same ones, so that the list holds."""
PROCESSES = 2


# The suite ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def suite() -> Path:
    """The folder of a checkout."""
    named = os.environ.get("ARRAY_API_TESTS")
    folder = Path(named) if named else cache_folder() / f"array-api-tests-{COMMIT[:12]}"
    if not named and not folder.exists():
        fetch(folder)
    found = git(folder, "rev-parse", "HEAD")
    assert found == COMMIT, f"{folder} is at {found}; standard_suite.txt was written for {COMMIT}"
    return folder


def fetch(folder: Path) -> None:
    """Check the suite out into a folder, whole or not at all; without a network the test is skipped."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=folder.name) as temporary:
        clone = Path(temporary) / "clone"
        clone.mkdir()
        try:
            git(clone, "init", "--quiet")
            git(clone, "fetch", "--quiet", "--depth=1", REPOSITORY, COMMIT)
            git(clone, "checkout", "--quiet", "FETCH_HEAD")
            git(clone, "submodule", "--quiet", "update", "--init", "--depth=1")
        except (OSError, subprocess.SubprocessError) as error:
            reason = getattr(error, "stderr", None) or str(error)
            pytest.skip(f"array-api-tests cannot be fetched: {reason.strip()} (ARRAY_API_TESTS can name a checkout)")
        clone.rename(folder)


def git(folder: Path, *arguments: str) -> str:
    result = subprocess.run(
        ["git", "-C", folder, *arguments], capture_output=True, text=True, check=True, timeout=180,
        env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
    )  # fmt: skip
    return result.stdout.strip()


def outcomes(suite: Path, workplace: Path) -> dict[str, str]:
    """What became of each test: "passed", "failed", "skipped" or "error"."""
    report = workplace / "report.json"
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = ours | {
        "ARRAY_API_TESTS_MODULE": "clearprop",
        "ARRAY_API_TESTS_VERSION": "2024.12",
        "ARRAY_API_TESTS_SKIP_DTYPES": "complex64,complex128",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(workplace / "hypothesis"),
        "PYTHONPATH": str(Path(cp.__file__).parents[1]),
    }
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "array_api_tests", "-q", "--tb=no", "-p", "no:cacheprovider", f"-n{PROCESSES}",
         "--derandomize", "--disable-deadline", f"--max-examples={EXAMPLES}",
         "--json-report", f"--json-report-file={report}", "--json-report-omit", "collectors", "log", "streams"],
        cwd=suite, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert report.exists(), run.stdout + run.stderr
    tests = json.loads(report.read_text(encoding="utf-8"))["tests"]
    return {test["nodeid"].removeprefix("array_api_tests/"): test["outcome"] for test in tests}


# The list -------------------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """A line of the list: which tests are not passed, and why."""

    kind: str
    pattern: str
    reason: str

    def matches(self, test: str) -> bool:
        return re.fullmatch(".*".join(map(re.escape, self.pattern.split("*"))), test) is not None


def entries() -> list[Entry]:
    lines = LIST.read_text(encoding="utf-8").splitlines()
    fields = [[field.strip() for field in line.split("|")] for line in lines if line and not line.startswith("#")]
    return [Entry(kind, pattern, reason) for kind, pattern, reason in fields]


def complaints(found: Mapping[str, str]) -> list[str]:
    """In what the list and the outcomes disagree."""
    listed = entries()
    wrong = [
        f"{test} {outcome}, but does not stand in the list"
        for test, outcome in found.items()
        if outcome != "passed" and not any(entry.matches(test) for entry in listed)
    ]
    for entry in listed:
        expected = {"skipped"} if entry.kind == "not run" else {"failed", "error", "skipped"}
        matched = {test: outcome for test, outcome in found.items() if entry.matches(test)}
        wrong += [
            f"{test} {outcome}, but stands as {entry}" for test, outcome in matched.items() if outcome not in expected
        ]
        wrong += [] if matched else [f"no test matches {entry}"]
    return wrong


def test_every_line_of_the_list_has_a_kind_a_test_and_a_reason() -> None:
    for entry in entries():
        assert entry.kind in {"excepted", "not run", "failing"}
        assert entry.pattern.startswith("test_")
        assert len(entry.reason) > 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_standard_is_followed(suite: Path, tmp_path: Path) -> None:
    found = outcomes(suite, tmp_path)
    wrong = complaints(found)
    assert not wrong, "\n".join(wrong)
    outside = [entry for entry in entries() if entry.kind != "failing"]
    counted = [outcome for test, outcome in found.items() if not any(entry.matches(test) for entry in outside)]
    assert len(counted) > 1000
    assert counted.count("passed") / len(counted) >= REQUIRED_SHARE
