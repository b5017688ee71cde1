"""Losses with all their reductions, weights and kinds of targets."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.reference.modules.cases import Constant, ModuleCase, numbers, whole

REDUCTIONS = ("mean", "sum", "none")
X, Y = numbers(4, 3, scale=2.0), numbers(4, 3, seed=5, scale=2.0)
SIGNS = Constant(np.array([1.0, -1.0, -1.0, 1.0]))
SHARES = np.exp(Y) / np.exp(Y).sum(axis=1, keepdims=True)
LABELS = np.array([2, 0, 1, 2])
WEIGHT = np.array([0.3, 1.0, 2.5])
DEEP, DEEP_LABELS = numbers(2, 3, 2, 2, scale=3.0), whole(2, 2, 2, high=3)


def with_logs(name: str, **arguments: Any) -> Any:
    """A loss of log probabilities behind a log softmax, so that PyTorch's gradient is that of the logits."""

    def make(nn: Any) -> Any:
        class Reader(nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.logs = nn.LogSoftmax(dim=-1)
                self.loss = getattr(nn, name)(**arguments)

            def forward(self, x: Any, *others: Any) -> Any:
                return self.loss(self.logs(x), *others)

        return Reader()

    return make


def elementwise() -> list[ModuleCase]:
    """Two of one shape."""
    settings: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
        ("L1Loss", {}, (X, np.where(Y > 1.0, X, Y))),
        ("SmoothL1Loss", {}, (X, Y)),
        ("SmoothL1Loss", {"beta": 0.25}, (X, Y)),
        ("SmoothL1Loss", {"beta": 0.0}, (X, Y)),
        ("HuberLoss", {}, (X, Y)),
        ("HuberLoss", {"delta": 2.0}, (X, Y)),
        ("SoftMarginLoss", {}, (20.0 * X, Constant(np.sign(Y)))),
        ("MultiLabelSoftMarginLoss", {}, (10.0 * X, SHARES)),
        ("MultiLabelSoftMarginLoss", {"weight": WEIGHT}, (X, SHARES)),
        ("BCELoss", {}, (SHARES, (Y + 2.0) / 4.0)),
        ("BCELoss", {}, (np.array([0.0, 1.0, 0.0, 1.0, 1e-13, 1e-40]), Constant(np.array([1.0, 0.0, 0.0, 1.0, 1, 1])))),
        ("BCELoss", {"weight": WEIGHT}, (SHARES, (Y + 2.0) / 4.0)),
        ("KLDivLoss", {}, (np.log(SHARES), SHARES[::-1].copy())),
        ("KLDivLoss", {}, (np.log(SHARES), Constant(np.eye(4, 3)))),
        ("KLDivLoss", {"log_target": True}, (np.log(SHARES), np.log(SHARES[::-1]))),
        ("PoissonNLLLoss", {}, (X, Y + 3.0)),
        ("PoissonNLLLoss", {"full": True}, (X, Constant(Y + 2.0))),
        ("PoissonNLLLoss", {"log_input": False, "eps": 1e-3}, (SHARES, Y + 3.0)),
        ("GaussianNLLLoss", {}, (X, Y, SHARES)),
        ("GaussianNLLLoss", {"full": True, "eps": 0.2}, (X, Y, SHARES[:, :1])),
        ("GaussianNLLLoss", {}, (X, Y, SHARES[:, 0])),
        ("HingeEmbeddingLoss", {}, (X[:, 0], SIGNS)),
        ("HingeEmbeddingLoss", {"margin": 0.5}, (X, Constant(np.sign(Y)))),
        ("MarginRankingLoss", {}, (X[:, 0], Y[:, 0], SIGNS)),
        ("MarginRankingLoss", {"margin": 0.7}, (X, Y, Constant(np.sign(Y)))),
    ]
    cases = [
        ModuleCase(name, {**arguments, "reduction": reduction}, inputs)
        for name, arguments, inputs in settings
        for reduction in REDUCTIONS
    ]
    return [*cases, ModuleCase("KLDivLoss", {"reduction": "batchmean"}, (np.log(SHARES), SHARES[::-1].copy()))]


def of_vectors() -> list[ModuleCase]:
    """Vectors that should be near one another, or not."""
    z = numbers(4, 3, seed=9)
    settings: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
        ("CosineEmbeddingLoss", {}, (X, Y, SIGNS)),
        ("CosineEmbeddingLoss", {"margin": 0.4}, (X, Y, SIGNS)),
        ("CosineEmbeddingLoss", {}, (X[0], Y[0], Constant(np.array(1.0)))),
        ("TripletMarginLoss", {}, (X, Y, z)),
        ("TripletMarginLoss", {"margin": 2.0, "p": 1.0, "swap": True}, (X, Y, z)),
        ("TripletMarginLoss", {"margin": 3.0, "p": 3.0, "eps": 1e-3, "swap": True}, (X, Y, z)),
    ]
    return [
        ModuleCase(name, {**arguments, "reduction": reduction}, inputs)
        for name, arguments, inputs in settings
        for reduction in REDUCTIONS
    ]


def of_classes() -> list[ModuleCase]:
    """Scores of classes against labels or probabilities."""
    cases = []
    for reduction in REDUCTIONS:
        for weight in (None, WEIGHT):
            for p, margin in ((1, 1.0), (2, 0.5)):
                arguments = {"p": p, "margin": margin, "weight": weight, "reduction": reduction}
                cases.append(ModuleCase("MultiMarginLoss", arguments, (X, LABELS)))
            for ignored in (-100, 2):
                arguments = {"weight": weight, "ignore_index": ignored, "reduction": reduction}
                logs = np.log(SHARES)
                cases.append(ModuleCase("NLLLoss", arguments, (logs, LABELS)))
                cases.append(ModuleCase("NLLLoss", arguments, (numbers(2, 3, 2), np.array([[0, 2], [1, 1]]))))
                for smoothing in (0.0, 0.2):
                    arguments = {**arguments, "label_smoothing": smoothing}
                    cases.append(ModuleCase("CrossEntropyLoss", arguments, (DEEP, DEEP_LABELS)))
            arguments = {"weight": weight, "label_smoothing": 0.1, "reduction": reduction}
            deep_shares = np.exp(DEEP[:, ::-1]) / np.exp(DEEP).sum(axis=1, keepdims=True)
            cases.append(ModuleCase("CrossEntropyLoss", arguments, (DEEP, deep_shares)))
            cases.append(ModuleCase("CrossEntropyLoss", arguments, (X[0], SHARES[1])))
            cases.append(ModuleCase("CrossEntropyLoss", arguments, (X[0], np.array(1))))
    cases.append(ModuleCase("MultiMarginLoss", inputs=(X[0], np.array(1))))
    cases.append(ModuleCase("MultiMarginLoss", inputs=(np.zeros((2, 3)), np.array([1, 0])), arguments={"margin": 0.0}))
    return cases


def of_sequences() -> list[ModuleCase]:
    """Connectionist temporal classification, through a log softmax."""
    x = numbers(6, 3, 4, scale=3.0)
    padded = np.array([[1, 2, 2], [3, 3, 0], [2, 0, 0]])  # repeated labels need a blank between them
    joined = np.array([1, 2, 2, 3, 3, 2])
    steps, lengths = np.array([6, 4, 5]), np.array([3, 2, 1])
    settings: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
        ({}, (x, padded, steps, lengths)),
        ({}, (x, joined, steps, lengths)),
        ({"blank": 3}, (x, np.array([[1, 2, 2], [0, 0, 3], [2, 3, 3]]), steps, lengths)),
        ({"zero_infinity": True}, (x, padded, np.array([6, 2, 5]), lengths)),
        ({}, (x, padded, np.array([6, 3, 1]), np.array([0, 2, 1]))),
        ({}, (x[:, 0], np.array([1, 2]), np.array(6), np.array(2))),
        ({}, (x[:1], np.array([[1], [3], [2]]), np.array([1, 1, 1]), np.array([1, 0, 1]))),
    ]
    return [
        ModuleCase(
            "CTCLoss",
            {**arguments, "reduction": reduction},
            inputs,
            make=with_logs("CTCLoss", **arguments, reduction=reduction),
        )
        for arguments, inputs in settings
        for reduction in REDUCTIONS
    ]


CASES = [*elementwise(), *of_vectors(), *of_classes(), *of_sequences()]
