"""An LSTM against attention: a class for 100 words of Shakespeare, of which one decides; and a tag for every letter.

The classes: windows of the plays, in small letters and without punctuation, with exactly one word of love or of death
(`clearprop.recipes.cues` says which) somewhere in them. To be reached: where that word stands far from the end,
attention is right at least as often as the LSTM. The tags: capital letters, commas and stops are put back.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from clearprop import recipes
from clearprop.recipes.restoring import TAGS
from clearprop.train import History
from clearprop.train.drawing import plots

KINDS = ("attention", "lstm")
RANGES = [f"{10 * number}_to_{10 * number + 9}" for number in range(10)]


def main() -> None:
    """Train both kinds for both tasks, and compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/examples/sequences"), metavar="FOLDER")
    parser.add_argument("--epochs", type=int, metavar="N")
    options = parser.parse_args()
    chosen = {} if options.epochs is None else {"epochs": options.epochs}
    for recipe, show in (("classify", show_classes), ("tag", show_tags)):
        runs = {
            kind: recipes.run(recipe, options.output / f"{recipe}-{kind}", kind=kind, resume=True, **chosen)
            for kind in KINDS
        }
        show(runs, options.output)


def show_classes(runs: dict[str, History], folder: Path) -> None:
    """The accuracy by the distance of the word that decides, as a table and as a picture."""
    found = {kind: history.evaluation.metrics for kind, history in runs.items()}
    print("\nwords behind the one that decides" + "".join(f"{kind:>12}" for kind in KINDS))
    for name in RANGES:
        print(f"{name.replace('_', ' '):>33}" + "".join(f"{found[kind][f'{name}_accuracy']:12.1%}" for kind in KINDS))
    print(f"{'50 and more':>33}" + "".join(f"{found[kind]['far_accuracy']:12.1%}" for kind in KINDS))
    print(f"{'seconds':>33}" + "".join(f"{runs[kind].seconds:12.0f}" for kind in KINDS))
    print(
        f"{'right answers in training':>33}" + "".join(f"{runs[kind].column('accuracy')[-1]:12.1%}" for kind in KINDS)
    )
    print("100 windows in each range, some of which overlap: a few percent up or down say nothing.")
    for kind in KINDS:
        lost = found[kind][f"{RANGES[0]}_accuracy"] - found[kind]["far_accuracy"]
        print(f"what distance costs {kind} (0 to 9 words against 50 and more): {100 * lost:.1f} points")
    curves = {kind: [found[kind][f"{name}_accuracy"] for name in RANGES] for kind in KINDS}
    chart = plots.lines(
        "Right answers",
        range(5, 100, 10),
        curves,
        words="By how many words stand behind the one that decides, in ranges of ten.",
        x_label="words behind the one that decides",
        text="{:.0%}".format,
    )
    path = plots.picture("One word of a hundred decides", [[chart]]).save(folder / "accuracy.svg")
    print(f"as a picture: {path}\nwhat attention looks at: {runs['attention'].files['attention']}")


def show_tags(runs: dict[str, History], folder: Path) -> None:
    """F1 of each tag, and a line that was restored."""
    print("\nF1" + " " * 16 + "".join(f"{kind:>12}" for kind in KINDS))
    for tag in TAGS:
        print(f"{tag:18}" + "".join(f"{runs[kind].evaluation.metrics[f'{tag}_f1']:12.3f}" for kind in KINDS))
    for name in ("accuracy", "macro f1"):
        print(f"{name:18}" + "".join(f"{runs[kind].evaluation.metrics[name]:12.3f}" for kind in KINDS))
    print(f"{'seconds':18}" + "".join(f"{runs[kind].seconds:12.0f}" for kind in KINDS))
    for kind in KINDS:
        given, restored, right = Path(runs[kind].files["restored"]).read_text(encoding="utf-8").splitlines()[:3]
        print(f"\n{given}\n{restored}  ({kind})\n{right}")


if __name__ == "__main__":
    main()
