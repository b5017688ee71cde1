"""Where a run took place: versions and machine, for its record."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import numpy as np


def versions() -> dict[str, str]:
    """The versions that decide what a run computes."""
    from importlib import metadata  # costs some 20 ms, and only a run needs it

    try:
        own = metadata.version("clearprop")
    except metadata.PackageNotFoundError:
        own = "not installed"
    return {"clearprop": own, "numpy": np.__version__, "python": platform.python_version()}


def machine() -> dict[str, str]:
    """What the run ran on. platform.processor() would start another process, so the kernel is asked instead."""
    processor = platform.machine()
    if sys.platform == "linux":
        try:
            lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), processor)
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor,
        "cores": str(os.cpu_count() or "unknown"),
    }
