"""What is trained, by name, in the order of the table; and the same in small, to see whether everything works."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from workloads.base import Workload
from workloads.bert import BERT_
from workloads.cnn import CNN_
from workloads.gpt import GPT_
from workloads.mlp import MLP_, TINY_MLP, WIDE_MLP, deep_chain, eagerly
from workloads.ntm import NTM_
from workloads.recurrent import GRU, LSTM
from workloads.resnet import RESNET
from workloads.seq2seq import SEQ2SEQ
from workloads.word2vec import WORD2VEC

_ODD: dict[str, dict[str, Any]] = {
    "mlp": {"sizes": (783, 251, 127, 10), "batch": 61},
    "wide-mlp": {"sizes": (783, 1021, 509, 10), "batch": 251},
    "cnn": {"side": 28, "batch": 61},
    "resnet": {"side": 28, "batch": 61, "blocks": 2},
    "lstm": {"steps": 61, "width": 251, "batch": 31},
    "gpt": {"steps": 127, "width": 248, "layers": 3, "vocabulary": 1021, "batch": 7},
}


def odd(workload: Workload) -> Workload:
    """The same in sizes that nobody has tuned for: odd widths, prime batches, other depths."""
    settings = _ODD[workload.name]
    return replace(workload, name=f"{workload.name}-odd", title=f"{workload.title}, odd sizes", **settings)


_FROM_1000 = dict.fromkeys(("torch-compile", "tinygrad"), "compiling so many layers takes minutes")

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        TINY_MLP,
        MLP_,
        WIDE_MLP,
        CNN_,
        RESNET,
        LSTM,
        GRU,
        GPT_,
        BERT_,
        SEQ2SEQ,
        NTM_,
        WORD2VEC,
        deep_chain(10, {}),
        deep_chain(100, {}),
        deep_chain(1_000, _FROM_1000),
        deep_chain(10_000, _FROM_1000),
        *map(eagerly, (TINY_MLP, MLP_, WIDE_MLP)),
        *map(odd, (MLP_, WIDE_MLP, CNN_, RESNET, LSTM, GPT_)),
    )
}

_SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"sizes": (20, 16, 16, 10), "batch": 8},
    "wide-mlp": {"sizes": (20, 32, 32, 10), "batch": 16},
    "cnn": {"side": 8, "batch": 4},
    "resnet": {"side": 8, "batch": 4, "blocks": 2},
    "lstm": {"steps": 5, "width": 16, "batch": 3},
    "gpt": {"steps": 8, "width": 16, "layers": 2, "heads": 2, "vocabulary": 32, "batch": 3},
    "gru": {"steps": 5, "width": 16, "batch": 3},
    "bert": {"steps": 8, "width": 16, "layers": 2, "heads": 2, "vocabulary": 32, "batch": 3},
    "seq2seq": {"source": 5, "target": 4, "width": 16, "layers": 2, "heads": 2, "batch": 3},
    "ntm": {"length": 4, "locations": 8, "width": 4, "hidden": 6, "batch": 2},
    "word2vec": {"vocabulary": 100, "width": 16, "batch": 50, "text_length": 2_000, "units": (50, "word")},
    "chain-100": {"sizes": (8,) * 101},
    "chain-1000": {"sizes": (8,) * 201, "units": (200, "layer")},
    "chain-10000": {"sizes": (8,) * 301, "units": (300, "layer")},
}


def small(workload: Workload) -> Workload:
    """The same with so little to do that it only shows whether everything works."""
    return replace(workload, **_SMALL.get(workload.name.removesuffix("-eager").removesuffix("-odd"), {}))
