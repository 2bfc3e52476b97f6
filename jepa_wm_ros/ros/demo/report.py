# SPDX-License-Identifier: Apache-2.0
"""What the demo shows: the film, the picture and the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

MAX_GIF_FRAMES = 120
INSET = 0.3  # width of the goal inset in the film, as a share of the frame


@dataclass
class EpisodeRecord:
    """One episode as the simulator saw it; positions in metres, base frame."""

    seed: int
    goal_picture: np.ndarray
    goal_position: np.ndarray
    start: np.ndarray
    frames: list[np.ndarray] = field(default_factory=list)
    seen_after: list[int] = field(default_factory=list)  # that step; 0: the start
    costs: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    planning_seconds: list[float] = field(default_factory=list)
    end: np.ndarray | None = None
    final_cost: float = float('nan')
    steps: int = 0
    message: str = ''
    fault: bool = False  # ended by an exception or error, not by reaching the goal or a limit

    @classmethod
    def failed(cls, seed: int, message: str) -> EpisodeRecord:
        """An episode that an error ended before anything could be judged."""
        nowhere = np.full(3, np.inf)
        return cls(seed, np.empty(0), np.zeros(3), nowhere, message=message, fault=True)

    def add_step(
        self, step: int, cost: float, planning_seconds: float, position: np.ndarray
    ) -> None:
        """Note the cost and true hand position after a step (step 0: at the start)."""
        self.seen_after.append(step)
        self.costs.append(cost)
        self.errors.append(float(np.linalg.norm(position - self.goal_position)))
        if step:
            self.planning_seconds.append(planning_seconds)

    def finish(
        self, end: np.ndarray, cost: float, steps: int, message: str, fault: bool = False
    ) -> None:
        """Note how the episode ended."""
        self.end, self.final_cost, self.steps, self.message = end, cost, steps, message
        self.fault = fault

    @property
    def start_error(self) -> float:
        """Distance of the start from the goal [m]."""
        return float(np.linalg.norm(self.start - self.goal_position))

    @property
    def final_error(self) -> float:
        """Distance of the end from the goal [m]."""
        if self.end is None:
            return float('inf')
        return float(np.linalg.norm(self.end - self.goal_position))


@dataclass(frozen=True, slots=True)
class Film:
    """Frames of the camera, and the goal picture that counted when each was taken."""

    frames: list[np.ndarray]
    goals: list[np.ndarray]


def write_gif(path: Path, record: EpisodeRecord) -> None:
    """The camera's view of an episode with the goal picture inset in a corner."""
    write_film(path, Film(record.frames, [record.goal_picture] * len(record.frames)))


def write_film(path: Path, film: Film) -> None:
    """A film with the goals inset in a corner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stride = max(1, -(-len(film.frames) // MAX_GIF_FRAMES))
    height, width = film.frames[0].shape[:2]
    size = (int(width * INSET), int(height * INSET))
    corner = (width - size[0] - 6, height - size[1] - 6)  # where the table is empty
    shots = []
    for frame, shown in zip(film.frames[::stride], film.goals[::stride], strict=True):
        goal = Image.fromarray(shown).resize(size, Image.Resampling.LANCZOS)
        picture = Image.fromarray(frame)
        draw = ImageDraw.Draw(picture)
        draw.rectangle(
            [corner[0] - 2, corner[1] - 2, width - 5, corner[1] + size[1] + 1], fill='white'
        )
        picture.paste(goal, corner)
        draw.text((corner[0], corner[1] - 14), 'goal', fill='white')
        shots.append(picture.convert('P', palette=Image.Palette.ADAPTIVE))
    shots[0].save(
        path,
        save_all=True,
        append_images=[*shots[1:], *[shots[-1]] * 10],
        duration=100 * stride,
        loop=0,
    )


def write_png(path: Path, record: EpisodeRecord) -> None:
    """Start, goal and end side by side over the curves of cost and hand distance."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure, axes = plt.subplot_mosaic(
        [['start', 'goal', 'end'], ['curve', 'curve', 'curve']],
        figsize=(10, 6.2),
        height_ratios=[1, 0.8],
        layout='constrained',
    )
    pictures = {'start': record.frames[0], 'goal': record.goal_picture, 'end': record.frames[-1]}
    titles = {
        'start': f'start: {record.start_error * 100:.1f} cm away',
        'goal': 'goal picture',
        'end': f'end: {record.final_error * 100:.1f} cm away, {record.steps} steps',
    }
    for name, picture in pictures.items():
        axes[name].imshow(picture)
        axes[name].set_title(titles[name])
        axes[name].axis('off')
    steps = record.seen_after
    axes['curve'].plot(steps, record.costs, 'o-', color='tab:blue')
    axes['curve'].set_xlabel('step')
    axes['curve'].set_ylabel('latent distance to the goal', color='tab:blue')
    axes['curve'].xaxis.get_major_locator().set_params(integer=True)
    axes['curve'].set_ylim(0, max(record.costs, default=1.0) * 1.08)
    distance = axes['curve'].twinx()
    distance.plot(steps, np.array(record.errors) * 100, 's--', color='tab:orange')
    distance.set_ylabel('hand to goal [cm] (simulator)', color='tab:orange')
    distance.set_ylim(0, max(record.errors, default=0.1) * 108)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def print_table(
    records: list[EpisodeRecord],
    random_rows: list[EpisodeRecord],
    tolerance: float,
    fine: float,
    latencies: list[float],
) -> None:
    """Successes and errors of the planner beside random actions and no motion."""
    print(
        f'\n{"":16} {f"<= {tolerance * 100:g} cm":>10} {f"<= {fine * 100:g} cm":>10} '
        f'{"median error":>13} {"steps":>6} {"planning":>9}'
    )
    still = [r.start_error for r in records]
    rows = [('planner', [r.final_error for r in records], [r.steps for r in records])]
    if random_rows:
        rows.append(
            ('random actions', [r.final_error for r in random_rows], [r.steps for r in random_rows])
        )
        rows.append(('no motion', still, [0]))
    planning = np.concatenate([r.planning_seconds for r in records]) if records else []
    for name, errors, steps in rows:
        errors = np.array(errors)
        near, nearer = (errors <= tolerance).sum(), (errors <= fine).sum()
        took = f'{np.median(planning) * 1e3:6.0f} ms' if name == 'planner' and len(planning) else ''
        print(
            f'{name:16} {f"{near}/{len(errors)}":>10} {f"{nearer}/{len(errors)}":>10} '
            f'{np.median(errors) * 100:10.2f} cm {np.median(steps):6.0f} {took:>9}'
        )
    if latencies:
        p50, p95 = np.percentile(latencies, [50, 95]) * 1e3
        print(f'loop, image stamp to command published: p50 {p50:.0f} ms, p95 {p95:.0f} ms')
    ends: dict[str, int] = {}
    for record in records:
        ends[record.message or 'reached'] = ends.get(record.message or 'reached', 0) + 1
    print('ends: ' + '; '.join(f'{count} x {text}' for text, count in ends.items()))
    print(f'exceptions: {sum(record.fault for record in records)}')
