"""A small run in which everything is random that can be, for the tests of `fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import clearprop as cp
from clearprop import nn, optim, train
from clearprop.data import ArrayDataset, DataLoader, digits

EPOCHS = 4


def make(
    seed: int = 0, *, epochs: int = EPOCHS, hidden: int = 16, dataset: ArrayDataset | None = None
) -> dict[str, Any]:
    """The arguments of `fit`: dropout from two generators, shuffling, a schedule by steps, early stopping, clipping."""
    cp.random.seed(seed)
    own = cp.random.Generator(seed + 100)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, hidden), nn.Dropout(0.2), nn.ReLU(), nn.Dropout(0.1, generator=own),
        nn.Linear(hidden, 10),
    )  # fmt: skip
    optimizer = optim.AdamW(model.parameters(), lr=0.02)
    data = DataLoader(dataset or ArrayDataset(*digits("train")[:600]), batch_size=40, shuffle=True, seed=seed)
    return {
        "model": model,
        "data": data,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": optimizer,
        "epochs": epochs,
        "validation": DataLoader(ArrayDataset(*digits("train")[600:800]), batch_size=64, shuffle=True),
        "metrics": ["accuracy"],
        "callbacks": [train.EarlyStopping(patience=10)],
        "scheduler": optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=len(data) * EPOCHS),
        "schedule": "step",
        "clip_grad_norm": 1.0,
        "progress": False,
    }


def fit(arguments: dict[str, Any], **more: Any) -> train.History:
    arguments = {**arguments, **more}
    return train.fit(arguments.pop("model"), arguments.pop("data"), **arguments)


def figures(history: train.History) -> list[dict[str, float]]:
    """The rows of a history without what the clock says."""
    return [{k: v for k, v in row.items() if k not in ("seconds", "examples_per_second")} for row in history.epochs]


def weights(model: nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def assert_same_weights(a: Any, b: Any) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


class StopAtStep(train.Callback):
    """Ends the program's run, as an error in it would, after so many steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, run: train.Run) -> None:
        if run.position.step == self.step:
            raise ZeroDivisionError


def checkpoint(folder: Path, every_steps: int = 1) -> train.Checkpoint:
    return train.Checkpoint(folder / "checkpoint.safetensors", every_steps=every_steps)
