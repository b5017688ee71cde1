"""A BERT of 2 layers whose weights come from a formula, in files as Hugging Face lays them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

CONFIG: dict[str, Any] = {
    "architectures": ["BertModel"],
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 32,
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 16,
    "model_type": "bert",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "vocab_size": 40,
}

_WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] to be or not that is the question whether tis nobler in mind suffer ##s ##ing"
VOCABULARY = [*_WORDS.split(" "), "##er", ",", ".", "?", *(f"word{i}" for i in range(15))]


def shapes() -> dict[str, tuple[int, ...]]:
    """The names and shapes of all weights, as in PyTorch."""
    width, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (CONFIG["vocab_size"], width),
        "embeddings.position_embeddings.weight": (CONFIG["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (CONFIG["type_vocab_size"], width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
        "pooler.dense.weight": (width, width),
        "pooler.dense.bias": (width,),
    }
    for i in range(CONFIG["num_hidden_layers"]):
        layer = f"encoder.layer.{i}"
        for part in ("query", "key", "value"):
            found[f"{layer}.attention.self.{part}.weight"] = (width, width)
            found[f"{layer}.attention.self.{part}.bias"] = (width,)
        for part, out, into in (
            ("attention.output", width, width),
            ("intermediate", inner, width),
            ("output", width, inner),
        ):
            found[f"{layer}.{part}.dense.weight"] = (out, into)
            found[f"{layer}.{part}.dense.bias"] = (out,)
            if part != "intermediate":
                found[f"{layer}.{part}.LayerNorm.weight"] = (width,)
                found[f"{layer}.{part}.LayerNorm.bias"] = (width,)
    return found


def weights() -> dict[str, np.ndarray[Any, Any]]:
    """0.3 sin(0.7 i + k) for the i-th number of the k-th weight, and 1 more where a normalization multiplies."""
    made = {}
    for k, (name, shape) in enumerate(sorted(shapes().items())):
        numbers = 0.3 * np.sin(0.7 * np.arange(np.prod(shape)) + k)
        made[name] = (numbers + name.endswith("LayerNorm.weight")).astype(np.float32).reshape(shape)
    return made


def write(folder: Path, *, config: dict[str, Any] | None = None, renamed: Any = None) -> Path:
    """The files of the network; ``renamed`` changes the names of the weights."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | (config or {})))
    named = {renamed(name) if renamed else name: array for name, array in weights().items()}
    safetensors.numpy.save_file(named, folder / "model.safetensors")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return folder
