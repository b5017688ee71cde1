"""What is in the folder of a BERT that others have trained, as Hugging Face lays it out.

Its sizes are in ``config.json``, its weights in ``model.safetensors``, its tokens in ``tokenizer.json`` or
``vocab.txt``. There, queries, keys and values have weights of their own; here they are one, so one product makes them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from clearprop.arguments import as_path, number, one_of, whole
from clearprop.data import WordPieceTokenizer
from clearprop.errors import ClearpropError, FileError, UsageError
from clearprop.files.atomic import read_bytes
from clearprop.files.tensors import load
from clearprop.functional import gelu, relu
from clearprop.nn import Module
from clearprop.tensor import Tensor

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Folder: TypeAlias = str | os.PathLike[str]

_ARCHITECTURE = "bert"
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_OF_SENTENCES = "sentence_bert_config.json", "1_Pooling/config.json", "modules.json"
_ONLY = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}
"""What a configuration may say only in this way: the other ways are other networks."""

_NAMES = {
    r"embeddings\.word_embeddings": "embeddings.words",
    r"embeddings\.position_embeddings": "embeddings.positions",
    r"embeddings\.token_type_embeddings": "embeddings.segments",
    r"embeddings\.LayerNorm": "embeddings.norm",
    r"encoder\.layer\.(\d+)\.attention\.output\.dense": r"layers.\1.attention.out_proj",
    r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm": r"layers.\1.attention_norm",
    r"encoder\.layer\.(\d+)\.intermediate\.dense": r"layers.\1.intermediate",
    r"encoder\.layer\.(\d+)\.output\.dense": r"layers.\1.output",
    r"encoder\.layer\.(\d+)\.output\.LayerNorm": r"layers.\1.output_norm",
    r"pooler\.dense": "pooler",
}
"""Where a module stands there, and here; queries, keys and values are joined, see `_joined`."""

_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
_ACTIVATIONS: Mapping[str, Callable[[Any], Tensor]] = {
    "gelu": gelu,
    "gelu_new": partial(gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(gelu, approximate="tanh"),
    "relu": relu,
}


@dataclass(frozen=True)
class BertConfig:
    """The sizes of a network, under the names of Hugging Face's ``config.json``; by default those of BERT-base.

    Args:
        vocab_size: how many tokens there are.
        hidden_size: H in the paper, the width.
        num_hidden_layers: L in the paper.
        num_attention_heads: A in the paper.
        intermediate_size: of the network for each token, 4 H in the paper.
        hidden_act: its activation, "gelu", "gelu_new" or "gelu_pytorch_tanh" (both by tanh), or "relu".
        hidden_dropout_prob, attention_probs_dropout_prob: what is zeroed while training.
        max_position_embeddings: tokens in the longest text.
        type_vocab_size: segments that a text may have.
        layer_norm_eps: added to variances.
        initializer_range: standard deviation of new weights.

    Raises:
        UsageError: a value that cannot be.

    >>> small = BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536)  # all-MiniLM-L6-v2
    >>> small.hidden_size // small.num_attention_heads
    32
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        for name in _SIZES:
            whole("BertConfig", name, getattr(self, name))
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            number("BertConfig", name, getattr(self, name), 0.0, 1.0)
        for name in ("layer_norm_eps", "initializer_range"):
            number("BertConfig", name, getattr(self, name), 0.0)
        one_of("BertConfig", "hidden_act", self.hidden_act, *_ACTIVATIONS)
        heads = self.num_attention_heads
        if self.hidden_size % heads:
            raise UsageError(
                f"BertConfig: hidden_size={self.hidden_size} cannot be divided into {heads} heads",
                hint=f"hidden_size={-(-self.hidden_size // heads) * heads}, or another num_attention_heads",
            )

    @property
    def activation(self) -> Callable[[Any], Tensor]:
        """The function that `hidden_act` names."""
        return _ACTIVATIONS[self.hidden_act]


def read_config(folder: Folder) -> BertConfig:
    """The sizes of a network; what ``config.json`` does not say is as in BERT-base.

    Raises:
        FileError: there is no such file, it is damaged, or of another architecture.
    """
    path = as_path(folder) / _CONFIG
    content = read_json(path)
    found = content.get("model_type")
    if found != _ARCHITECTURE:
        raise FileError(
            f"{path} is of the architecture {found!r}, not {_ARCHITECTURE!r}",
            hint=f"the folder of a model whose model_type is {_ARCHITECTURE!r}",
        )
    for name, wanted in _ONLY.items():
        if content.get(name, wanted) != wanted:
            raise FileError(f"{path}: {name} is {content[name]!r}; only {wanted!r} is known", hint="another model")
    known = {field.name for field in fields(BertConfig)}
    try:
        return BertConfig(**{name: value for name, value in content.items() if name in known})
    except ClearpropError as error:
        raise FileError(f"{path}: {error.message}", hint=error.hint) from error


def read_weights(folder: Folder) -> dict[str, Array]:
    """The weights of a BERT under the names of `Bert`, in PyTorch's layout.

    Those of a last layer for some task, which stand beside ``bert.``, are left out.

    Raises:
        FileError: there is no such file, or it is damaged.
    """
    path = as_path(folder) / _WEIGHTS
    if not path.exists() and any(Path(folder).glob("*.bin")):
        raise FileError(f"{folder} holds no {_WEIGHTS}, only pickled weights", hint="a model with safetensors weights")
    weights = load(path)
    if any(name.startswith("bert.") for name in weights):
        weights = {name.removeprefix("bert."): x for name, x in weights.items() if name.startswith("bert.")}
    named = {_name(name): x for name, x in weights.items() if name != "embeddings.position_ids"}
    return _joined(named)


def load_weights(model: Module, weights: Mapping[str, Array], folder: Folder) -> None:
    """Give a network the weights that were in a folder; FileError if they are not those of such a network."""
    try:
        model.load_state_dict(weights, layout="torch")
    except ClearpropError as error:
        raise FileError(
            f"the weights in {folder} do not fit its {_CONFIG}: {error.message}", hint="both files of one model"
        ) from error


def read_tokenizer(folder: Folder) -> WordPieceTokenizer:
    """The tokenizer of a BERT: of ``tokenizer.json``, or of ``vocab.txt`` if there is no such file.

    Raises:
        FileError: there is neither, or it is damaged.
        UsageError: the library tokenizers is not installed.
    """
    place = as_path(folder)
    if (place / "tokenizer.json").exists():
        return WordPieceTokenizer.load(place / "tokenizer.json")
    settings = place / "tokenizer_config.json"
    lowercase = read_json(settings).get("do_lower_case", True) if settings.exists() else True
    return WordPieceTokenizer.from_vocabulary(place / "vocab.txt", lowercase=bool(lowercase))


def read_sentence_settings(folder: Folder) -> tuple[int, bool]:
    """What sentence-transformers says of a model: tokens in the longest text, and whether vectors get length 1.

    Raises:
        FileError: the vectors are made in another way than as the mean of those of the tokens.
    """
    place = as_path(folder)
    settings, pooling, modules = (place / name for name in _OF_SENTENCES)
    longest = read_json(settings).get("max_seq_length") if settings.exists() else None
    ways = read_json(pooling) if pooling.exists() else {"pooling_mode_mean_tokens": True}
    chosen = [name for name, value in ways.items() if name.startswith("pooling_mode_") and value]
    if chosen != ["pooling_mode_mean_tokens"]:
        raise FileError(
            f"{pooling} asks for {', '.join(chosen) or 'no pooling'}; only the mean of all tokens is known",
            hint="Bert.from_pretrained for the vectors of the tokens",
        )
    normalized = b"Normalize" in read_bytes(modules) if modules.exists() else True
    return (longest if isinstance(longest, int) else read_config(folder).max_position_embeddings), normalized


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; FileError if it cannot be read, or holds none."""
    try:
        content = json.loads(read_bytes(path))
    except ValueError as error:
        raise FileError(f"{path} is damaged: {error}", hint="copy it again from where it came from") from error
    if not isinstance(content, dict):
        raise FileError(f"{path} holds no object in JSON", hint="copy it again from where it came from")
    return content


def _name(name: str) -> str:
    """The name that a weight has here; old files call those of a normalization gamma and beta."""
    module, _, last = name.rpartition(".")
    for theirs, ours in _NAMES.items():
        if re.fullmatch(theirs, module):
            return f"{re.sub(theirs, ours, module)}.{ {'gamma': 'weight', 'beta': 'bias'}.get(last, last) }"
    return name


def _joined(weights: Mapping[str, Array]) -> dict[str, Array]:
    """With the weights of queries, keys and values as one, [3 out, in] in PyTorch's layout."""
    joined, left = {}, dict(weights)
    for name in weights:
        found = re.fullmatch(r"encoder\.layer\.(\d+)\.attention\.self\.query\.(weight|bias)", name)
        if found is None:
            continue
        parts = [name.replace("query", part) for part in ("query", "key", "value")]
        arrays = [weights[part] for part in parts if part in weights]
        if len(arrays) == len(parts) and len({array.shape for array in arrays}) == 1:
            joined[f"layers.{found[1]}.attention.in_proj_{found[2]}"] = np.concatenate(arrays)
            left = {key: array for key, array in left.items() if key not in parts}
    return left | joined
