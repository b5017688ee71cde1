"""Recipes: networks with data and settings that are known to work, ready to be trained by one line.

>>> import tempfile
>>> from clearprop import recipes
>>> history = recipes.run("digits", tempfile.mkdtemp() + "/run", epochs=5, hidden=(64,), progress=False)
>>> history.evaluation.metrics["accuracy"] > 0.9
True
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clearprop.errors import UsageError
from clearprop.recipes import bert_classify, char_rnn, classify, cnn, gpt, lenet, linear, mlp, ntm, resnet, seq2seq, tag, word2vec
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.running import begun, train
from clearprop.recipes.settings import Option, Settings
from clearprop.train import History

__all__ = ["RECIPES", "Option", "Recipe", "Settings", "Task", "begun", "run", "train"]

RECIPES: Mapping[str, Recipe] = {
    one.name: one
    for one in (
        mlp.DIGITS,
        mlp.MNIST,
        linear.LINEAR,
        lenet.LENET_1989,
        cnn.MNIST_CNN,
        cnn.CIFAR_CNN,
        resnet.RESNET,
        char_rnn.CHAR_RNN,
        gpt.RECIPE,
        word2vec.WORD2VEC,
        classify.CLASSIFY,
        tag.TAG,
        seq2seq.SEQ2SEQ,
        ntm.NTM_COPY,
        bert_classify.RECIPE,
    )
}


def run(
    name: str,
    folder: str | os.PathLike[str],
    *,
    data: str | None = None,
    resume: bool = False,
    progress: bool = True,
    **settings: Any,
) -> History:
    """Train a network by a recipe, as ``clearprop train NAME`` does.

    Args:
        name: of the recipe.
        folder: where weights, record, report, checkpoint and pictures go.
        data: the folder with the data, None for the usual places.
        resume: go on with the run that is in the folder, if there is one.
        progress: show how it goes, on stderr.
        settings: those that are to differ from the recipe's.

    Returns:
        the record of the run, with the figures of the test in its ``evaluation``.

    Raises:
        UsageError: no such recipe, no such setting, or a value that it cannot have; the folder holds a run already.
        FileError, DataError: data or files that cannot be read or written.
        TrainingInterrupted: Ctrl-C; the run has been saved.
    """
    if name not in RECIPES:
        raise UsageError(f"there is no recipe {name!r}", hint=f"one of {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    place = Path(folder)
    chosen = recipe.settings.changed(settings)
    again = resume and place.is_dir() and any(place.glob("checkpoint.safetensors"))
    return train(recipe, chosen, place, data=data, resume=again, progress=progress)
