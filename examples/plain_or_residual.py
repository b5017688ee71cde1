"""A plain network against a residual one of equal depth, on CIFAR-10: where gradients go, and what is learned.

After K. He et al. (2015), Deep Residual Learning for Image Recognition, figures 1 and 6; with a part of the images,
shrunk to 16×16 pixels, so that five networks take minutes. All are trained in one and the same way. At the first step
and after the last, the gradient of the loss by what each block gives on is measured, from the first block to the last.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import clearprop as cp
from clearprop import data, nn, optim, train
from clearprop.functional import avg_pool2d
from clearprop.models import ResNet
from clearprop.train.drawing import plots


@dataclass(frozen=True)
class Net:
    """One of the networks. Without batch normalization, the first weights are PyTorch's usual ones, ±1/√inputs."""

    depth: int
    residual: bool
    norm: bool = True

    def __str__(self) -> str:
        return f"{'residual' if self.residual else 'plain'} {self.depth}"

    def build(self) -> ResNet:
        """The network, with new weights."""
        cp.random.seed(0)
        model = ResNet(self.depth, (3, 16, 16), residual=self.residual, norm=self.norm)
        if not self.norm:
            for module in model.modules():
                if isinstance(module, nn.Conv2d):
                    module.reset_parameters()
        return model


@dataclass(frozen=True)
class Measured:
    """What came of a network: ‖∂loss/∂y‖ after each block, at the first step and after the last, and its curves."""

    before: list[float]
    after: list[float]
    history: train.History

    def __str__(self) -> str:
        first, last = self.before[0] / self.before[-1], self.after[0] / self.after[-1]
        row = self.history.epochs[-1]
        return (
            f"gradient at the first block / at the last: {first:8.2g} before, {last:8.2g} after; "
            f"loss {row['loss']:.3f}, accuracy {row['accuracy']:.1%}, held out {row['val_accuracy']:.1%}"
        )


def small_photographs(split: str, count: int) -> data.ArrayDataset:
    """Some images of CIFAR-10, each pixel the mean of four."""
    whole = data.cifar10(split)
    images, labels = whole[np.random.default_rng(0).permutation(len(whole))[:count]]
    return data.ArrayDataset(avg_pool2d(cp.asarray(images), 2).numpy(), labels)


def gradients(model: ResNet, images: cp.Tensor, labels: cp.Tensor) -> list[float]:
    """‖∂loss/∂y‖ for the output y of each block."""
    outputs: list[cp.Tensor] = []
    hooks = [block.register_forward_hook(lambda _, __, y: outputs.append(y)) for block in model.blocks]
    model.train()
    loss = nn.CrossEntropyLoss()(model(images), labels)
    for hook in hooks:
        hook.remove()
    for output in outputs:
        output.retain_grad()
    model.zero_grad()
    loss.backward()
    return [float(np.linalg.norm(output.grad.numpy())) for output in outputs]


def measure(net: Net, training: data.ArrayDataset, held_out: data.ArrayDataset, epochs: int) -> Measured:
    """Train a network, all in the same way, with a look at its gradients before and after."""
    model = net.build()
    probe = next(iter(data.DataLoader(training, 128)))
    before = gradients(model, *probe)
    batches = data.DataLoader(training, 128, shuffle=True, drop_last=True)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    updates = epochs * len(batches)
    history = train.fit(
        model,
        batches,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        epochs=epochs,
        validation=data.DataLoader(held_out, 500),
        metrics=["accuracy"],
        scheduler=optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=updates, cycle_momentum=False),
        schedule="step",
        history=train.History(str(net)),
        health=False,
    )
    return Measured(before, gradients(model, *probe), history)


def panels(measured: dict[Net, Measured], condition: str) -> list[plots.Panel]:
    """Three charts of some networks: gradients by depth at the first step and after the last, and the training."""
    row = []
    for when, title in (("before", "at the first step"), ("after", "after the last")):
        found = {str(net): np.asarray(getattr(one, when)) for net, one in measured.items()}
        depth = np.linspace(0, 100, max(map(len, found.values())))
        curves = {name: np.interp(depth, np.linspace(0, 100, len(y)), y) for name, y in found.items()}
        row.append(
            plots.lines(
                f"Gradient {title}, {condition}",
                depth,
                curves,
                words="; ".join(
                    f"{name}: {y[0]:.2g} at the first block, {y[-1]:.2g} at the last" for name, y in found.items()
                ),
                x_label="depth of the block, in %",
                may_be_logarithmic=True,
            )
        )
    losses = {str(net): one.history.column("loss") for net, one in measured.items()}
    words = "; ".join(f"{name}: from {y[0]:.2f} to {y[-1]:.2f}" for name, y in losses.items())
    epochs = np.arange(1, 1 + max(map(len, losses.values())))
    return [
        *row,
        plots.lines(f"Training loss, {condition}", epochs, losses, words=words, x_label="epoch", text="{:.2f}".format),
    ]


def main() -> None:
    """Train, measure, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/examples/plain_or_residual"), metavar="FOLDER")
    parser.add_argument("--depth", type=int, default=56, metavar="N", help="layers with weights, 6n + 2 (default: 56)")
    parser.add_argument("--epochs", type=int, default=5, metavar="N", help="(default: 5)")
    parser.add_argument("--images", type=int, default=5000, metavar="N", help="to train with (default: 5000)")
    options = parser.parse_args()
    training, held_out = small_photographs("train", options.images), small_photographs("test", options.images // 5)
    rows = []
    for norm, condition in ((True, "normalized"), (False, "not normalized")):
        nets = [Net(options.depth, residual, norm) for residual in (False, True)] + [Net(20, False)] * norm
        measured = {net: measure(net, training, held_out, options.epochs) for net in nets}
        for net, one in measured.items():
            print(f"{condition}, {net}: {one}", flush=True)
        rows.append(panels(measured, condition))
    options.output.mkdir(parents=True, exist_ok=True)
    picture = plots.picture("Plain and residual networks", rows)
    print(f"\n{picture.save(options.output / 'plain_or_residual.html')}")


if __name__ == "__main__":
    main()
