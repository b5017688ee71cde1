"""Who takes part. Each library has a module with ``make_step(workload, variant)``: a function that trains one step.

What that function returns becomes the loss by ``float``, which waits until the step is done.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass

from workloads.base import Workload

OURS = "clearprop"
OURS_EAGER = "clearprop-eager"
_CLANGS = ("clang", *(f"clang-{version}" for version in range(22, 13, -1)))


@dataclass(frozen=True)
class Contestant:
    """A library, in one way of using it.

    Attributes:
        title: as in the table.
        library: its module in this folder.
        package: what must be installed.
        variant: the way of using it, for ``make_step``.
    """

    title: str
    library: str
    package: str
    variant: str = ""

    def missing(self) -> str:
        """What is not on this machine and must be, or nothing."""
        if not importlib.util.find_spec(self.package):
            return f"{self.package} is not installed"
        if self.package == "tinygrad" and not _clang():
            return "tinygrad needs clang"
        return ""

    def environment(self) -> dict[str, str]:
        """Variables that the library goes by."""
        return {"DEV": "CPU", "CC": _clang()} if self.package == "tinygrad" else {}


def _clang() -> str:
    return next(filter(None, map(shutil.which, _CLANGS)), "")


CONTESTANTS = {
    OURS: Contestant("clearprop", "with_clearprop", "clearprop", "compile"),
    OURS_EAGER: Contestant("clearprop eager", "with_clearprop", "clearprop"),
    "torch": Contestant("PyTorch", "with_torch", "torch"),
    "torch-channels-last": Contestant("PyTorch channels-last", "with_torch", "torch", "channels-last"),
    "torch-compile": Contestant("torch.compile", "with_torch", "torch", "compile"),
    "jax": Contestant("JAX", "with_jax", "jax"),
    "mlx": Contestant("MLX", "with_mlx", "mlx"),
    "tinygrad": Contestant("tinygrad", "with_tinygrad", "tinygrad"),
    "gensim": Contestant("gensim", "with_gensim", "gensim"),
}


def taking_part(workload: Workload) -> list[str]:
    """Who has an entry for this workload, ours first."""
    if workload.only:
        return list(workload.only)
    out = set(workload.absent)
    if not workload.images:
        out.add("torch-channels-last")
    if workload.name != "word2vec":
        out.add("gensim")
    return [name for name in CONTESTANTS if name not in out]


def ours(workload: Workload) -> str:
    """Which of our entries the others are compared with."""
    return OURS if OURS in taking_part(workload) else OURS_EAGER
