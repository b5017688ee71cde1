"""Write the pictures of docs/studies, with the numbers that the code of its pages computes.

    .venv/bin/python scripts/make_studies.py [NAME …]

Each page is run as a test would run it, from top to bottom, and what it has left in its variables is drawn. So a
picture cannot show anything else than its page.
"""

from __future__ import annotations

import doctest
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from clearprop.lens.drawing.saving import Svg
from clearprop.train.drawing import plots

PAGES = Path(__file__).parents[1] / "docs" / "studies"
FOLDER = PAGES / "pictures"

Names = Mapping[str, Any]


def session(page: Path) -> Names:
    """Run the Python blocks of a page, and give its variables; an error if one of its examples fails."""
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    test = doctest.DocTestParser().get_doctest("".join(blocks), names, page.name, str(page), 0)
    if doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False).run(test, clear_globs=False).failed:
        raise SystemExit(f"{page.name}: its examples fail")
    return test.globs


def short(value: float) -> str:
    """A number on an axis."""
    if 1000 <= abs(value) < 100_000:
        return f"{value:,.0f}"
    return f"{value:.2g}" if 0.001 <= abs(value) < 1000 or not value else power(value)


def power(value: float) -> str:
    """A number by its power of ten."""
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def percent(value: float) -> str:
    """A share of 1."""
    return f"{100 * value:.0f} %"


lines = partial(plots.lines, text=short)


def initialization(page: Names) -> Svg:
    """Distributions by layer, the size of gradients, and what becomes of the training."""
    activations = {name: [np.asarray(h) for h in found[0]] for name, found in page["seen"].items()}
    gradients = {name: [g.std() for g in found[1]] for name, found in page["seen"].items()}
    layers = range(1, 11)
    distributions = plots.histograms(
        "Activations by layer, with their standard deviation",
        activations,
        words="With a standard deviation of 0.01 they shrink to 0, with 0.3 tanh sits at -1 and 1; Xavier keeps tanh, "
        "and Kaiming ReLU, at one size.",
        columns=[str(layer) for layer in layers],
        limits=(-1.0, 1.0),
        figure=lambda h: short(float(h.std())),
    )
    backward = lines(
        "Standard deviation of the gradient by layer",
        list(layers),
        gradients,
        words="From the tenth layer to the first it vanishes with 0.01, grows with 0.3, and stays with Xavier for tanh "
        "and Kaiming for ReLU.",
        x_label="layer",
        may_be_logarithmic=True,
    )
    training = lines(
        "Training accuracy",
        range(1, len(next(iter(page["curves"].values()))) + 1),
        page["curves"],
        words="Xavier for tanh and Kaiming for ReLU learn; the others hardly, or not at all.",
        x_label="epoch",
        text=percent,
        from_zero=True,
    )
    return plots.picture("First weights of ten layers", [[distributions], [backward, training]])


def activations(page: Names) -> Svg:
    """Functions and derivatives, gradients by layer, training."""
    z = page["z"].numpy()
    functions = lines(
        "The functions",
        z,
        {name: np.where(abs(value) <= 2.0, value, np.nan) for name, value in page["values"].items()},
        words="Sigmoid and tanh saturate; ReLU, leaky ReLU and GELU are open to the right.",
        x_label="z",
        x_text=short,
    )
    slopes = lines(
        "Their derivatives",
        z,
        page["slopes"],
        words="That of the sigmoid is at most a quarter, that of the others reaches 1.",
        x_label="z",
        x_text=short,
    )
    gradients = lines(
        "Norm of the gradient by layer",
        range(1, 11),
        page["norms"],
        words="With sigmoids it loses five decades from the tenth layer to the first; with the others it stays.",
        x_label="layer",
        may_be_logarithmic=True,
    )
    training = lines(
        "Training loss",
        range(1, 9),
        page["losses"],
        words="The network with sigmoids stays at the loss of guessing, 2.3; the others learn.",
        x_label="epoch",
        from_zero=True,
    )
    return plots.picture("Activation functions in depth", [[functions, slopes], [gradients, training]])


def depth(page: Names) -> Svg:
    """Gradients over time, singular values of products, and multiplications over the depth."""
    recurrent = lines(
        "Norm of the gradient after T steps",
        page["steps"],
        page["norms"],
        words="With a spectral radius of 0.9 it vanishes, with 1.1 it explodes, and an orthogonal matrix keeps it.",
        x_label="T",
        may_be_logarithmic=True,
    )
    nn, spectrum = page["nn"], page["spectrum"]
    curves = {
        "Xavier, 10": spectrum(nn.init.xavier_normal_, 10),
        "Xavier, 50": spectrum(nn.init.xavier_normal_, 50),
        "orthogonal": spectrum(nn.init.orthogonal_, 50),
    }
    product = lines(
        "Singular values of a product of matrices",
        range(1, 65),
        {name: np.where(values > 1e-12, values, np.nan) for name, values in curves.items()},
        words="Of a product of Xavier's matrices a few are large and most nearly 0, the more the deeper; those of "
        "orthogonal matrices are all 1.",
        x_label="number of the singular value",
        may_be_logarithmic=True,
    )
    kept, again = zip(*page["counted"], strict=True)
    cost = lines(
        "Multiplications",
        page["depths"],
        {"kept, 3 L": kept, "anew, L²": again},
        words="Backpropagation grows with the number of layers, computing every gradient anew with its square.",
        x_label="layers",
        text=lambda value: f"{value:,.0f}",
        from_zero=True,
    )
    return plots.picture("Depth", [[recurrent, product], [cost]])


def dropout(page: Names) -> Svg:
    """How the answers of all networks are spread, and how fast a sampled mean comes near."""
    sure = page["whole"][np.arange(100), page["right"]]
    image = int(np.argmin(abs(sure - 0.7)))  # one on which many networks have something else to say
    label = page["right"][image]
    mean, geometric, whole = (page[name][image, label] for name in ("arithmetic", "geometric", "whole"))
    said = f"mean {mean:.2f}, geometric mean {geometric:.2f}, whole network {whole:.2f}"
    answers = plots.histograms(
        "What 4,096 thinned networks say of one image",
        {"": [page["answers"][:, image, label]]},
        words=f"From 0 to 1, spread widely; {said}.",
        columns=["probability of the right class, from 0 to 1"],
        limits=(0.0, 1.0),
        figure=lambda _: said,
        bins=50,
        width=340,
        height=190,
    )
    whole = page["apart"](page["whole"], page["arithmetic"])
    samples = lines(
        "Distance from the mean of all 4,096",
        page["sizes"],
        {"k sampled": page["errors"], "whole": [whole] * len(page["sizes"])},
        words=f"The mean of k networks comes nearer as 1 / √k; the whole network, scaled, is at {whole:.3f}.",
        x_label="k, logarithmic",
        x_text=lambda value: f"{value:.0f}",
        x_logarithmic=True,
        from_zero=True,
    )
    return plots.picture("Dropout and its ensemble", [[answers, samples]])


def landscapes(page: Names) -> Svg:
    """Two maps with the same levels, and curves of training."""
    levels = [0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 2.2, 2.4, 2.6, 2.8, 3.0, 3.5]
    maps = [
        page[name].panel(f"Loss around the {title} network", levels)
        for name, title in (("around_plain", "plain"), ("around_residual", "residual"))
    ]
    training = lines(
        "Training loss",
        range(1, 13),
        {"plain": page["plain_losses"], "residual": page["residual_losses"]},
        words="The residual network is better after four epochs than the plain one after twelve.",
        x_label="epoch",
        from_zero=True,
    )
    return plots.picture("Loss landscapes", [maps, [training]])


def approximation(page: Names) -> Svg:
    """The target with polygons and trained networks, and errors by width."""
    x = page["x"][::5]

    def values(model: Any) -> Any:
        return model(page["cp"].asarray(x)).numpy()[:, 0]

    target = page["target"](x[:, 0])
    drawn = [
        lines(
            title,
            x[:, 0],
            {"target": target, **{f"{width} units": values(make(width)) for width in (4, 16, 64)}},
            words="With 4 units the curve is missed, with 16 followed, with 64 nearly covered.",
            x_label="x",
            x_text=short,
        )
        for title, make in (("Written down: polygons", page["polygon"]), ("Trained", page["models"].__getitem__))
    ]
    missing = [np.nan] * (len(page["widths"]) - len(page["found"]))
    errors = lines(
        "Largest error",
        page["widths"],
        {"polygon": page["constructed"], "trained": [*page["found"], *missing]},
        words="That of the polygon falls by four whenever the width doubles; that of trained networks more slowly.",
        x_label="hidden units, logarithmic",
        x_text=lambda value: f"{value:.0f}",
        x_logarithmic=True,
        may_be_logarithmic=True,
    )
    return plots.picture("Approximation by hidden units", [drawn, [errors]])


def connections(page: Names) -> Svg:
    """The matrix of a convolution, and counts by the side of the image."""
    matrix = page["matrix"]
    toeplitz = plots.table(
        "A convolution as a matrix: nine weights, and zeros",
        matrix,
        words="Each row has the same nine numbers, moved on by one pixel or to the next line of the image.",
        rows=[f"output {row + 1}" for row in range(len(matrix))],
        columns=[str(column + 1) for column in range(matrix.shape[1])],
        text=lambda value: f"{value:.0f}" if value else "",
        cell=26,
    )
    sides = [8, 12, 16, 24, 32, 48, 64, 96, 128]
    counts = [page["by_formula"](side) for side in sides]

    def curves(kind: int, names: Sequence[str]) -> dict[str, list[float]]:
        return {name: [float(count[name][kind]) for count in counts] for name in names}

    of_connections = lines(
        "Connections",
        sides,
        {**curves(0, ["full"]), "windows": curves(0, ["local"])["local"]},
        words="They grow with the fourth power of the side if every pixel is connected, with its square with windows.",
        x_label="pixels a side",
        text=power,
        may_be_logarithmic=True,
    )
    of_parameters = lines(
        "Parameters",
        sides,
        curves(1, ["full", "local", "convolution"]),
        words="Those of a convolution do not depend on the size of the image.",
        x_label="pixels a side",
        text=power,
        may_be_logarithmic=True,
    )
    return plots.picture("Connections and parameters", [[toeplitz], [of_connections, of_parameters]])


def attention(page: Names) -> Svg:
    """One lookup in several forms; entropy and derivative over the length of the vectors."""
    rows = {f"softmax, times {factor:g}": weights.numpy() for factor, weights in page["lookups"].items()}
    weights = plots.table(
        "Weights of one lookup, asked for what is like a cat",
        np.array([page["scores"].numpy(), *rows.values()]),
        words="Scores as they are; then softmax of them times 0, 1, 5 and 100: from the mean to a dictionary.",
        rows=["not normalized", *rows],
        columns=page["words"],
        text=lambda value: f"{value:.2f}",
        most=1.0,
        cell=48,
    )
    panels = [
        lines(
            title,
            page["lengths"],
            {"q · k": [one[kind] for one in page["plain"]], "q · k / √d": [one[kind] for one in page["scaled"]]},
            words=words,
            x_label="d, logarithmic",
            x_text=lambda value: f"{value:,.0f}",
            x_logarithmic=True,
            from_zero=True,
        )
        for kind, title, words in (
            (0, "Entropy of the weights, in bits", "Divided by √d it stays above 4 bits; else it falls to nearly 0."),
            (1, "Norm of the derivative of the weights", "Divided by √d it stays; else it falls with growing d."),
        )
    ]
    return plots.picture("Attention as a lookup", [[weights], panels])


def overfitting(page: Names) -> Svg:
    """Training loss and validation loss by epoch, without anything and with each of the means."""
    first = 5  # before that all fall alike, and far
    panels = [
        plots.lines(
            title,
            range(first, len(page["training"]) + 1),
            {name: run.column(column)[first - 1 :] for name, run in page["runs"].items()},
            words=words,
            x_label="epoch",
            text=short,
        )
        for title, column, words in (
            (
                "Training loss",
                "cross_entropy",
                "It falls to the end; without anything wrong labels are learned.",
            ),
            (
                "Validation loss",
                "val_cross_entropy",
                "Without anything it rises after ten epochs, else less, or not.",
            ),
        )
    ]
    return plots.picture("Overfitting, and what helps against it", [panels])


PICTURES: dict[str, Callable[[Names], Svg]] = {
    function.__name__: function
    for function in (
        initialization, activations, depth, dropout, landscapes, approximation, connections, attention,
        overfitting,
    )
}  # fmt: skip


def main(names: Sequence[str]) -> None:
    """Draw those, or all of them, anew."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or PICTURES:
        print(PICTURES[name](session(PAGES / f"{name}.md")).save(FOLDER / f"{name}.svg"))


if __name__ == "__main__":
    main(sys.argv[1:])
