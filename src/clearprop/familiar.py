"""Names that one knows from PyTorch and NumPy, and what they are called here: for errors that help."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

NAMES: Mapping[str, str] = {
    "cat": "concat",
    "concatenate": "concat",
    "vstack": "concat(…, axis=0)",
    "hstack": "concat(…, axis=1)",
    "from_numpy": "asarray",
    "unsqueeze": "expand_dims",
    "permute": "permute_dims",
    "transpose": "permute_dims, or x.mT",
    "swapaxes": "permute_dims",
    "expand": "broadcast_to",
    "view": "reshape",
    "chunk": "split",
    "gather": "take_along_axis",
    "index_select": "take",
    "masked_fill": "where",
    "scatter": "where, or x.at[index].set(value)",
    "bmm": "matmul, or x @ y",
    "mm": "matmul, or x @ y",
    "dot": "matmul, or x @ y",
    "mul": "multiply",
    "div": "divide",
    "sub": "subtract",
    "neg": "negative",
    "power": "pow",
    "absolute": "abs",
    "mod": "remainder",
    "clamp": "clip",
    "cumsum": "cumulative_sum",
    "cumprod": "cumulative_prod",
    "amax": "max",
    "amin": "min",
    "softmax": "functional.softmax",
    "relu": "functional.relu",
    "sigmoid": "functional.sigmoid",
    "rand": "random.uniform",
    "randn": "random.normal",
    "randint": "random.randint",
    "randperm": "random.permutation",
    "manual_seed": "random.seed",
    "Generator": "random.Generator",
    "inference_mode": "no_grad",
    "half": "float16",
    "float": "float32",
    "double": "float64",
    "int": "int64",
    "long": "int64",
}


def suggestion(name: str, known: Iterable[str]) -> str:
    """What somebody may have meant who has asked for a name that there is not, or nothing.

    >>> suggestion("cat", []), suggestion("permute_dim", ["permute_dims", "flip"]), suggestion("qqq", ["flip"])
    ('cp.concat', 'cp.permute_dims', '')
    """
    if name in NAMES:
        return f"cp.{NAMES[name]}"
    similar = difflib.get_close_matches(name, list(known), n=1)
    return f"cp.{similar[0]}" if similar else ""
