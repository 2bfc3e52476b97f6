# SPDX-License-Identifier: Apache-2.0
"""Command `findings`: ask the paper's questions again.

    jepa-wm findings wall --data data/wall --out out/findings --question 1 2 --seeds 1 2 3
    jepa-wm findings wall --data data/wall --out out/findings --question 4
        --encoder dinov2=dinov2_vits14_pretrain.pth
    jepa-wm findings cell --question 10 --out out/findings --model jepa_wm_cell_grasp

Says first what is to be done, and how long that will take where runs have ended to tell by. Every
run that has ended is kept, and the same command goes on; tables, CSV files and figures are written
anew after each.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jepa_wm_ros.errors import exit_status
from jepa_wm_ros.evaluation import counterfactual_cell
from jepa_wm_ros.findings.answer import Answer
from jepa_wm_ros.findings.beside import baselines_of
from jepa_wm_ros.findings.expected import ended, expected_seconds, in_words
from jepa_wm_ros.findings.frozen import files_of, needed
from jepa_wm_ros.findings.questions import QUESTIONS, Question
from jepa_wm_ros.findings.report import draw, markdown, write_csv
from jepa_wm_ros.findings.runs import Plan, Run
from jepa_wm_ros.tasks.worlds import WORLDS

CELL = 'cell'  # the simulated arm's, for which nothing is trained here


def parse(words: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].split(': ', 1)[1])
    parser.add_argument('world', choices=[*WORLDS, CELL])
    parser.add_argument('--data', type=Path, help='episodes, see `jepa-wm tasks collect`')
    parser.add_argument('--out', type=Path, required=True, help='folder of models and results')
    parser.add_argument('--config', default='', help="base configuration (default: the world's)")
    parser.add_argument(
        '--question',
        type=int,
        nargs='+',
        choices=[*QUESTIONS, counterfactual_cell.NUMBER],
        help='(default: all that the world answers)',
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    parser.add_argument(
        '--tasks',
        default='',
        help="frozen tasks: a name in config/tasks or a .json file (default: the world's)",
    )
    parser.add_argument(
        '--episodes', type=int, default=48, help='the first of the file (default %(default)s)'
    )
    parser.add_argument('--size', default='100x10', help='CANDIDATESxITERATIONS of a plan')
    parser.add_argument('--executed', type=int, default=1, help='steps carried out of a plan')
    parser.add_argument('--iterations', type=int, help="of each stage (default: the base's)")
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument(
        '--plan',
        action='store_true',
        help='say what is to be done and write the tables of what there is; nothing is run',
    )
    parser.add_argument(
        '--encoder',
        nargs='+',
        default=[],
        metavar='KIND=FILE',
        help="published weights for question 4's encoders; what has none is not run",
    )
    parser.add_argument(
        '--model', default='jepa_wm_cell_grasp', help=f'of question {counterfactual_cell.NUMBER}'
    )
    options = parser.parse_args(words)
    answered = [counterfactual_cell.NUMBER] if options.world == CELL else list(QUESTIONS)
    options.question = options.question or answered
    if not set(options.question) <= set(answered):
        parser.error(f'{options.world} answers {", ".join(map(str, answered))}')
    if options.world != CELL and options.data is None:
        parser.error('--data: give the episodes to train on')
    return options


def plan_of(options: argparse.Namespace) -> Plan:
    """What is common to all runs."""
    return Plan(
        options.world,
        options.config or WORLDS[options.world]().spec.data,
        options.data,
        options.out,
        options.iterations,
        options.episodes,
        options.size,
        options.executed,
        options.threads,
        files_of(options.encoder),
        options.tasks,
    )


def runs_of(question: Question, plan: Plan, seeds: list[int]) -> list[Run]:
    """Those that can be made, seed by seed."""
    needs = needed(question, plan.encoders)
    variants = [variant for variant in question.variants if variant.name not in needs]
    return [Run(plan, variant, seed) for seed in seeds for variant in variants]


def announce(questions: list[Question], plan: Plan, seeds: list[int]) -> None:
    """Say what is to be done, and how long it will take."""
    known, count, seconds = ended(plan), 0, 0.0
    print(f'judged on {plan.judged_on().summary()}')
    for question in questions:
        runs = runs_of(question, plan, seeds)
        missing = [run for run in runs if not run.result.exists()]
        expected = expected_seconds(question, missing, known)
        count, seconds = count + len(missing), seconds + (expected or 0.0)
        told = f', {in_words(expected)}' if missing else ''
        print(f'{question.number}. {question.text} {len(missing)} of {len(runs)} runs to do{told}')
        for name, file in needed(question, plan.encoders).items():
            print(f'   {name}: not run, needs {file}')
    if count:
        print(f'in all {count} runs, {in_words(seconds if known else None)}', flush=True)


def ask(question: Question, plan: Plan, seeds: list[int], idle: bool = False) -> None:
    """Make what is missing of one question, and write what there is after each run; when idle, make
    nothing.
    """
    tasks = plan.judged_on()
    answer = Answer(
        question,
        plan.world,
        tasks.tolerance,
        seeds,
        {},
        needed(question, plan.encoders),
        baselines_of(tasks, plan.out),
    )
    write(plan, answer)
    for run in runs_of(question, plan, seeds):
        if idle and not run.result.exists():
            continue
        answer.found.setdefault(run.variant.name, []).append(run.figures())
        write(plan, answer)


def write(plan: Plan, answer: Answer) -> None:
    """Table, CSV and figure of one question."""
    stem = plan.out / f'{plan.world}_{answer.question.number}'
    stem.with_suffix('.md').write_text(markdown(answer))
    write_csv(stem.with_suffix('.csv'), answer)
    draw(stem.with_suffix('.png'), answer)


@exit_status('interrupted; the same command goes on')
def main(words: list[str] | None = None) -> int:
    """Entry point."""
    options = parse(words)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.world == CELL:
        path = counterfactual_cell.answer(options.model, options.seeds[0], options.out)
        print(f'{counterfactual_cell.NUMBER}. {counterfactual_cell.TEXT} Look at {path}')
        return 0
    plan = plan_of(options)
    chosen = [QUESTIONS[number] for number in options.question]
    announce(chosen, plan, options.seeds)
    for question in chosen:
        ask(question, plan, options.seeds, options.plan)
        print((plan.out / f'{plan.world}_{question.number}.md').read_text(), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
