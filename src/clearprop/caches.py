"""The folder for what can be had again: downloads, and machine code."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The folder where downloads and machine code are kept; it may not exist yet.

    The environment variable ``CLEARPROP_CACHE`` names it; else it is where the system keeps caches, on Linux
    ``$XDG_CACHE_HOME/clearprop`` or ``~/.cache/clearprop``.
    """
    chosen = os.environ.get("CLEARPROP_CACHE")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("clearprop")
