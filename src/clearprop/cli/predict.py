"""``clearprop predict RUN images…``: ask a network that was trained and saved what is on images."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.cli import terminal
from clearprop.cli.command import Command
from clearprop.cli.images import Image, read_images, read_labels
from clearprop.cli.pictures import colour_gallery, gallery
from clearprop.cli.records import weights_of
from clearprop.data.batches import examples_at
from clearprop.data.order import shuffled
from clearprop.errors import DataError, UsageError
from clearprop.models import ImageClassifier
from clearprop.recipes.images import IMAGES
from clearprop.train.figures import figure

_MOST_PICTURES = 20
_EXAMPLES_SHOWN = 10

_DESCRIPTION = """\
Classify images with a network that clearprop train has saved. Without images: some of those that it
was tested with, and has not seen in training."""

_EXAMPLES = (
    "clearprop predict runs/digits-20260101-120000",
    "clearprop predict runs/mnist-20260101-120000 t10k-images-idx3-ubyte.gz --count 20",
    "clearprop predict runs/mnist-20260101-120000/weights.safetensors digit.png --invert --json",
    "clearprop predict runs/cifar-cnn-20260101-120000 frog.png",
)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="the folder of a run, or its weights.safetensors")
    parser.add_argument(
        "images", nargs="*", metavar="IMAGES", help="IDX files, .npy arrays, or pictures such as PNG (needs Pillow)"
    )
    parser.add_argument("--labels", metavar="FILE", help="IDX or .npy file with what the images are")
    parser.add_argument("--invert", action="store_true", help="the images are dark on bright")
    parser.add_argument(
        "--count", type=_count, metavar="N", help=f"at most N images (default: all; of test images {_EXAMPLES_SHOWN})"
    )
    parser.add_argument("--seed", type=_count, default=0, metavar="N", help="which of the test images (default: 0)")
    parser.add_argument("--data", metavar="FOLDER", help="where the data files are, for test images")
    parser.add_argument("--json", action="store_true", help="print the answers as JSON, with all probabilities")


def _run(options: argparse.Namespace) -> None:
    classifier, model = ImageClassifier.load(weights_of(Path(options.run)))
    images = _images(options, classifier)
    for image in images:
        if image.pixels.shape != classifier.shape:
            _refuse_size(image, classifier)
    probabilities = classifier.probabilities(model, np.stack([image.pixels for image in images]))
    if options.json:
        _print_json(classifier, images, probabilities)
    else:
        _print_answers(classifier, images, probabilities)


def _images(options: argparse.Namespace, classifier: ImageClassifier) -> list[Image]:
    if options.images:
        images = read_images(options.images, classifier.white, classifier.channels, invert=options.invert)
        if options.labels:
            images = read_labels(options.labels, images, len(classifier.class_names))
        return images[: options.count]
    if options.labels or options.invert:
        raise UsageError("--labels and --invert go with images of your own", hint="name the files of the images")
    if classifier.dataset not in IMAGES:
        raise UsageError(f"{options.run} does not say what it was tested with", hint="name files with images")
    test = IMAGES[classifier.dataset].load("test", options.data)
    chosen = shuffled(len(test), options.seed)[: options.count or _EXAMPLES_SHOWN]
    pixels, labels = examples_at(test, chosen)
    return [
        Image(f"test image {index}", image, int(label))
        for index, image, label in zip(chosen, pixels, labels, strict=True)
    ]


def _refuse_size(image: Image, classifier: ImageClassifier) -> None:
    _, height, width = image.pixels.shape
    raise DataError(
        f"{image.source} has {height} × {width} pixels; the network takes {classifier.height} × {classifier.width}",
        hint=f"cut out what is to be classified and resize it to {classifier.height} × {classifier.width}",
    )


def _print_answers(classifier: ImageClassifier, images: Sequence[Image], probabilities: Any) -> None:
    answers = probabilities.argmax(axis=1)
    if len(images) <= _MOST_PICTURES:
        captions = [_caption(classifier, image, int(answer)) for image, answer in zip(images, answers, strict=True)]
        _print_pictures([image.pixels for image in images], captions)
    known = [image.truth is not None for image in images]
    heads = ["image", "answer", "probability", *(["right answer"] if any(known) else [])]
    rows = [heads]
    for image, answer, row in zip(images, answers, probabilities, strict=True):
        truth = "" if image.truth is None else classifier.class_names[image.truth]
        mark = "" if image.truth in (None, int(answer)) else "  wrong"
        rows.append([image.source, classifier.class_names[answer], _percent(row[answer]), truth + mark][: len(heads)])
    terminal.print_plain(_table(rows))
    if sum(known) > 1:
        right = sum(image.truth == int(answer) for image, answer in zip(images, answers, strict=True))
        terminal.print_plain(f"\n{right} of {sum(known)} right, {figure('accuracy', right / sum(known))}")


def _print_pictures(images: Sequence[Any], captions: Sequence[str]) -> None:
    """Small pictures, (channels, H, W) each; those in colour only where a terminal shows colours."""
    if len(images[0]) == 1:
        terminal.print_plain("\n".join([*gallery([image[0] for image in images], captions, terminal.width()), ""]))
    elif sys.stdout.isatty():
        terminal.show(lambda width: [*colour_gallery(images, captions, width), []])


def _caption(classifier: ImageClassifier, image: Image, answer: int) -> str:
    text = classifier.class_names[answer]
    if image.truth is None or image.truth == answer:
        return text
    return f"{text}, is {classifier.class_names[image.truth]}"


def _print_json(classifier: ImageClassifier, images: Sequence[Image], probabilities: Any) -> None:
    records = []
    for image, row in zip(images, probabilities, strict=True):
        record: dict[str, Any] = {"image": image.source, "answer": classifier.class_names[row.argmax()]}
        if image.truth is not None:
            record["right_answer"] = classifier.class_names[image.truth]
        record["probabilities"] = dict(zip(classifier.class_names, row.tolist(), strict=True))
        records.append(record)
    sys.stdout.write(json.dumps(records, indent=1) + "\n")


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        first = [row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].rjust(widths[2])]
        lines.append("  ".join([*first, *row[3:]]).rstrip())
    return "\n".join(lines)


def _percent(probability: float) -> str:
    return figure("accuracy", float(probability))


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


COMMAND = Command("predict", "classify images with a trained network", _DESCRIPTION, _EXAMPLES, _configure, _run)
