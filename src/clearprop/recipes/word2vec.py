"""word2vec: vectors for the words of a text, with their nearest neighbours, analogies and a map on a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from clearprop.data import NearWords, WordText
from clearprop.models import WordVectors, negative_sampling
from clearprop.models.saving import Saved
from clearprop.optim import SGD
from clearprop.optim.lr_scheduler import LinearLR
from clearprop.recipes.recipe import Recipe, Task
from clearprop.recipes.settings import Epochs, Option, Settings
from clearprop.recipes.texts import TextFile, whole_text
from clearprop.recipes.word_page import analogies, write_word_page

PAGE = "words.html"
_LAST = 0.004  # of the learning rate, at the end: 0.0001, as in the program that came with the paper


@dataclass(frozen=True)
class Word2VecSettings(Settings):
    """The settings of the paper's program, with batches in the place of one pair after the other."""

    epochs: Epochs = 20
    batch_size: Annotated[int, Option("words for each update of the vectors, a multiple of the window", least=1)] = 1000
    lr: Annotated[float, Option("learning rate of a single prediction, at first", least=0)] = 0.025
    architecture: Annotated[str, Option("what is predicted from what", choices=("skip-gram", "cbow"))] = "skip-gram"
    width: Annotated[int, Option("numbers in the vector of a word", least=1)] = 100
    window: Annotated[int, Option("words on each side that are near, at most", least=1)] = 5
    negatives: Annotated[int, Option("words drawn beside each right one", least=1)] = 5
    subsample: Annotated[float, Option("leave out some of the words more frequent than this share", least=0)] = 1e-3
    min_count: Annotated[int, Option("leave out words that occur more rarely", least=1)] = 5
    file: TextFile = ""


def _task(settings: Word2VecSettings, folder: str | None) -> Task:
    text = WordText(whole_text(settings.file, folder), settings.min_count)
    batches = NearWords(
        text,
        settings.architecture,
        settings.batch_size,
        settings.window,
        settings.negatives,
        settings.subsample,
        settings.seed,
    )
    network = "SkipGram" if settings.architecture == "skip-gram" else "CBOW"
    arguments = {"vocabulary": len(text.words), "width": settings.width}
    saved = Saved(network, arguments, {"words": list(text.words)})
    model = saved.build()
    # The loss is the mean over the predictions of a batch; the rate of the paper is that of each single one.
    optimizer = SGD(model.parameters(), lr=settings.lr * batches.predictions)
    scheduler = LinearLR(optimizer, 1.0, _LAST, total_iters=settings.epochs * len(batches))

    def exhibit(trained: Any, place: Path) -> Mapping[str, float | str]:
        vectors = WordVectors(text.words, trained.words.weight)
        write_word_page(place / PAGE, vectors, text.counts, _about(settings, text))
        answered = analogies(vectors)
        right = {"top-5 analogy accuracy": sum(one.is_right for one in answered) / len(answered)} if answered else {}
        return {"words": PAGE, **right}

    return Task(
        model=model,
        loss=negative_sampling,
        optimizer=optimizer,
        data=batches,
        saved=saved,
        scheduler=scheduler,
        exhibits=exhibit,
    )


def _about(settings: Word2VecSettings, text: WordText) -> str:
    source = Path(settings.file).name if settings.file else "tiny Shakespeare"
    return (
        f"Vectors of {settings.width} numbers for {len(text.words):,} words, learned by {settings.architecture} with "
        f"{settings.negatives} negative samples from {len(text):,} words of {source}, in {settings.epochs} epochs."
    )


WORD2VEC = Recipe("word2vec", "vectors for the words of Shakespeare: ten seconds", Word2VecSettings(), _task)
