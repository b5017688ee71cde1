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
from clearprop.recipes import (
    bert_classify,
    char_rnn,
    classify,
    cnn,
    gpt,
    lenet,
    linear,
    mlp,
    ntm,
    resnet,
    seq2seq,
    tag,
    word2vec,
)
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.running import CHECKPOINT, train
from clearprop.recipes.settings import Option, Settings
from clearprop.train import History

__all__ = ["RECIPES", "Option", "Recipe", "Settings", "Task", "run"]

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
    recipe: str | Recipe,
    folder: str | os.PathLike[str],
    *,
    data: str | None = None,
    resume: bool = False,
    progress: bool = True,
    **settings: Any,
) -> History:
    """Train a network by a recipe, as ``clearprop train NAME`` does.

    Args:
        recipe: its name, or one of your own.
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

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> run("digits", folder, epochs=2, hidden=(32,), progress=False).command
    'clearprop train digits --epochs 2 --hidden 32 --seed 0'
    >>> run("digits", folder, epochs=2, hidden=(32,), progress=False)
    Traceback (most recent call last):
    clearprop.errors.UsageError: ... holds a run already
    Try: clearprop train --resume ..., or another folder for a new run
    """
    if not isinstance(recipe, Recipe):
        if recipe not in RECIPES:
            raise UsageError(f"there is no recipe {recipe!r}", hint=f"one of {', '.join(RECIPES)}")
        recipe = RECIPES[recipe]
    place = Path(folder)
    chosen = recipe.settings.changed(settings)
    again = resume and (place / CHECKPOINT).exists()
    return train(recipe, chosen, place, data=data, resume=again, progress=progress)
