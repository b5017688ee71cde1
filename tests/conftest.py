"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# `make test` draws the same examples every time; `make test-all` draws many more, and fresh ones.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("fixed")

os.environ.setdefault("CLEARPROP_CODE_CACHE", "0")  # tests compile, whatever others have left, and leave nothing


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with real data sets (MNIST, CIFAR-10, text); a test that needs it is skipped where it is not."""
    folder = os.environ.get("CLEARPROP_DATA")
    if not folder:
        pytest.skip("needs real data: CLEARPROP_DATA is not set")
    return Path(folder)
