"""gensim's word2vec, with as many workers as cores. A step is an epoch; its loss is not comparable."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from gensim.models import Word2Vec as Model

from workloads.word2vec import WINDOW, Word2Vec, zipf_text

_LINE = 1000  # words


def make_step(workload: Word2Vec, variant: str) -> Callable[[], float]:
    """One epoch."""
    text = zipf_text(workload.vocabulary, workload.text_length)
    folder = tempfile.TemporaryDirectory()
    path = str(Path(folder.name) / "text")
    lines = (text[i : i + _LINE] for i in range(0, len(text), _LINE))
    Path(path).write_text("".join(" ".join(map(str, line)) + "\n" for line in lines))
    model = Model(
        vector_size=workload.width,
        window=WINDOW,
        negative=workload.negatives,
        sg=1,
        sample=0,
        min_count=1,
        workers=len(os.sched_getaffinity(0)),
        alpha=0.025,
        min_alpha=0.025,
    )
    model.build_vocab(corpus_file=path)

    def step(keep: tempfile.TemporaryDirectory[str] = folder) -> float:  # the text lives as long as this function
        model.train(corpus_file=path, total_words=len(text), total_examples=len(text) // _LINE, epochs=1)
        return float("nan")

    step.units = len(text)  # type: ignore[attr-defined]
    return step
