# SPDX-License-Identifier: Apache-2.0
"""The loss curves of a training run as a picture."""

from __future__ import annotations

from pathlib import Path


def plot_losses(history: dict[str, list[dict[str, float]]], path: Path) -> None:
    """One panel per stage of `history` {stage: [{'iteration': ..., loss: value}]}, log scale."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    stages = {name: points for name, points in history.items() if points}
    if not stages:
        return
    figure, axes = pyplot.subplots(1, len(stages), figsize=(6 * len(stages), 4), squeeze=False)
    for axis, (name, points) in zip(axes[0], stages.items(), strict=True):
        steps = [point['iteration'] for point in points]
        for key in points[-1]:
            if key != 'iteration':
                axis.plot(steps, [point[key] for point in points], label=key)
        axis.set(title=name, xlabel='iteration', ylabel='loss', yscale='log')
        axis.legend(fontsize='small')
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
