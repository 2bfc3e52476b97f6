# SPDX-License-Identifier: Apache-2.0
"""Tables and figures of what was found; what was not run is an empty cell that says so."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from jepa_wm_ros.findings.answer import Answer

# The paper's part is in words: its values were not to be had here.
HEAD = (
    '',
    'the paper',
    'ours: success',
    '95 %',
    'over seeds',
    'seeds',
    'episodes',
    'evaluations per plan',
    'ms per plan',
)

PER_PLAN = 'evaluations', 'ms'
HASHES = 'data', 'tasks', 'weights'


def markdown(answer: Answer) -> str:
    """One question's table, the paper's answer above it and the word about it below."""
    question = answer.question
    lines = [
        f'### {question.number}. {question.text} ({answer.world})',
        '',
        f'The paper ({question.figure}): {question.answer}.',
        '',
        _row(HEAD),
        '|---' * len(HEAD) + '|',
    ]
    for variant in question.variants:
        name, share = variant.name, answer.share(variant.name)
        said = question.paper(name)
        if share is None:
            why = f': needs {answer.needs[name]}' if name in answer.needs else ''
            lines.append(_row((name, said, f'not run{why}', *[''] * (len(HEAD) - 3))))
            continue
        spread = f'± {share.spread:.0%}' if np.isfinite(share.spread) else ''
        counted = (f'{share.mean:.0%}', f'± {share.half_width:.0%}', spread)
        searched = tuple(f'{number:.0f}' for number in answer.per_plan(name))
        lines.append(_row((name, said, *counted, str(share.seeds), str(share.episodes), *searched)))
    for name, row in answer.beside.items():
        told = (f'{row["success"]:.0%}', f'± {row["half_width"]:.0%}')
        lines.append(_row((f'*{name}*', '', *told, '', '', str(len(row['ends'])), '', '')))
    lines += [
        '',
        f'Beside the paper: **{answer.verdict()}**.',
        '',
        *(f'- {better} above {worse}: {word}' for better, worse, word in answer.claims()),
        '',
        "95 %: half of Wilson's binomial interval over all episodes of all seeds. Over seeds: "
        'standard deviation. Agrees, or disagrees: of the episodes in which only one of both '
        "succeeded, more are one's than chance would have it (McNemar's exact test, 5 %), and so "
        'it is in each seed. Evaluations: candidates scored, with or without their slope.',
        '',
    ]
    return '\n'.join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return '|' + ''.join(f' {cell} |' if cell else ' |' for cell in cells)


def write_csv(path: Path, answer: Answer) -> None:
    """A row for every run with the SHA-256 of data, tasks and weights, and one for each of those
    who need no model.
    """
    runs = [(name, one) for name, figures in answer.found.items() for one in figures]
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        head = ['question', 'world', 'variant', 'seed', 'episodes']
        writer.writerow([*head, 'success', *PER_PLAN, *HASHES])
        for name, one in [*runs, *answer.beside.items()]:
            row = [name, one.get('seed', ''), len(one['ends']), one['success']]
            row += [one.get('budget', {}).get(key, '') for key in PER_PLAN]
            row += [one.get(key, '') for key in HASHES]
            writer.writerow([answer.question.number, answer.world, *row])


def draw(path: Path, answer: Answer) -> None:
    """A bar for every variant with its 95 % interval, a dot for every seed."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    shares = {
        variant.name: share
        for variant in answer.question.variants
        if (share := answer.share(variant.name)) is not None
    }
    if not shares:
        return
    names, means = list(shares), np.array([100 * share.mean for share in shares.values()])
    ends = np.array([[100 * share.low, 100 * share.high] for share in shares.values()]).T
    figure, axes = pyplot.subplots(figsize=(1.6 + 0.7 * len(names), 3.6), layout='constrained')
    axes.bar(names, means, yerr=np.abs(ends - means), capsize=4, color='tab:blue', alpha=0.7)
    for name in names:
        dots = [100 * one['success'] for one in answer.found[name]]
        axes.scatter([name] * len(dots), dots, color='black', s=10, zorder=3)
    title = f'{answer.question.text} ({answer.world})\nbeside the paper: {answer.verdict()}'
    axes.set(ylabel='success [%]', ylim=(0, 103), title=title)
    axes.title.set_wrap(True)
    axes.tick_params(axis='x', rotation=45)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
