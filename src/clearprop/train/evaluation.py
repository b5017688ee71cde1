"""What a trained network does on data that it has not been trained on: figures, and who is taken for whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from functools import partial
from typing import Any

import numpy as np

from clearprop.arguments import function
from clearprop.errors import DataError, UsageError
from clearprop.nn import Module
from clearprop.train.checks import check_loader, no_batches, split_batch
from clearprop.train.compiling import OfBatches, worth_compiling
from clearprop.train.metrics import AnyMetric, ConfusionMatrix, Mean, make_metrics
from clearprop.train.modes import evaluating
from clearprop.train.progress import Progress
from clearprop.train.records import Evaluation
from clearprop.train.worst import Show, Worst, check_worst


def evaluate(
    model: Module,
    data: Iterable[Any],
    *,
    loss: Callable[[Any, Any], Any] | None = None,
    metrics: Iterable[AnyMetric] = (),
    class_names: Sequence[str] = (),
    split: str = "test",
    worst: int = 0,
    show: Show | None = None,
    compile: bool | None = None,
    progress: bool = False,
) -> Evaluation:
    """Measure a network, in evaluation mode, on data that it has not been trained on.

    Args:
        data: batches, as for `fit`.
        loss: as for `fit`; its mean becomes the figure "loss".
        metrics: as for `fit`.
        class_names: one for each class; with them, the confusion matrix is counted.
        split: what to call these data.
        worst: how many of the worst examples to keep, mistakes first, and among them those with the largest loss; the
            report shows them.
        show: makes of an input what is to be seen of it, an image or a text, such as ``tokenizer.decode``. By default
            images are shown as they are, and of other inputs the first numbers.
        compile: as for `fit`; None does it if there are many batches.
        progress: show how it goes, on stderr.

    Raises:
        DataError: there are no batches, or a label has no name.
        TraceError: ``compile=True``, and the network asks for values.

    >>> import clearprop as cp
    >>> from clearprop import data, nn, train
    >>> loader = data.DataLoader(data.digits("test"), batch_size=64)
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> result = train.evaluate(
    ...     model, loader, loss=nn.CrossEntropyLoss(), metrics=["accuracy"], class_names="0123456789", worst=3
    ... )
    >>> result.examples, result.confusion.shape, result.metrics["accuracy"] < 0.5
    (355, (10, 10), True)
    >>> [one.mistaken for one in result.worst]
    [True, True, True]
    """
    if not isinstance(model, Module):
        raise UsageError(f"evaluate: the model is a {type(model).__name__}", hint="an nn.Module")
    check_loader(data, "the data", "evaluate")
    check_worst(worst, loss)
    if show is not None:
        function("evaluate", "show", show, "a function of an input, which gives an image or a text")
    if not isinstance(class_names, Sequence):
        raise UsageError(f"evaluate: class_names={class_names!r}", hint='a name for each class: ["cat", "dog"]')
    mean_loss, counted = Mean("loss"), make_metrics(metrics)
    confusion = ConfusionMatrix(len(class_names)) if class_names else None
    kept = Worst(worst, loss, class_names, show) if loss is not None and worst else None
    examples = 0
    with Progress(1, show=progress) as shown, evaluating(model):
        shown.start_validation(len(data) if isinstance(data, Sized) else None, label=split)
        measured = OfBatches(partial(_forward, model, loss), compile=worth_compiling(compile, data), note=shown.note)
        for batch in data:
            inputs, target = split_batch(batch, "evaluate")
            output, value = measured(*inputs, target)
            if value is not None:
                mean_loss.add(float(value.item()), len(target))
            if confusion is not None:
                _check_names(output, target, class_names)
            for metric in (*counted, *([confusion] if confusion is not None else [])):
                metric.update(output, target)
            if kept is not None:
                kept.update(inputs[0], output, target)
            examples += len(target)
            shown.advance(len(target))
    if not examples:
        raise no_batches("the data", "evaluate")
    figures = {metric.name: metric.compute() for metric in ([mean_loss] if loss is not None else []) + list(counted)}
    counts = None if confusion is None else confusion.counts
    return Evaluation(figures, examples, counts, class_names, split, [] if kept is None else kept.examples())


def _forward(model: Module, loss: Callable[[Any, Any], Any] | None, *batch: Any) -> tuple[Any, Any]:
    """The output, and the loss if it is asked for."""
    *inputs, target = batch
    output = model(*inputs)
    return output, None if loss is None else loss(output, target)


def _check_names(output: Any, target: Any, names: Sequence[str]) -> None:
    classes, labels = output.shape[1], np.asarray(target)
    if classes != len(names) or labels.min(initial=0) < 0 or labels.max(initial=0) >= classes:
        raise DataError(
            f"evaluate: {len(names)} class names, {classes} outputs of the network, "
            f"labels from {labels.min(initial=0)} to {labels.max(initial=0)}",
            hint="one name for each output of the network, and labels that count from 0",
        )
