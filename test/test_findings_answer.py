# SPDX-License-Identifier: Apache-2.0
"""What was found beside what the paper says: shares and intervals by hand, and the one word."""

import csv
import math

import numpy as np
import pytest

from jepa_wm_ros.findings.answer import AGREES, CANNOT_TELL, DISAGREES, Answer
from jepa_wm_ros.findings.questions import QUESTIONS
from jepa_wm_ros.findings.report import draw, markdown, write_csv

SEEDS = (1, 2, 3)
TOLERANCE = 4.5
rng = np.random.default_rng(0)


def figures(*shares, episodes=100, seeds=SEEDS):
    """Runs of a variant that reached these shares, in whichever tasks."""
    told = zip(seeds, shares, strict=False)
    hashes = {'data': 'd', 'tasks': 't', 'weights': 'w'}
    return [
        {
            'seed': s,
            'success': share,
            'ends': rng.permutation(np.arange(episodes) >= round(share * episodes)) * 9.0,
            'budget': {'evaluations': 100.0 * s, 'ms': 500.0 * s},
            **hashes,
        }
        for s, share in told
    ]


def said(with_it, without, seeds=SEEDS):
    """The word about question 3, which says that `with` is above `without`."""
    return Answer(
        QUESTIONS[3], 'wall', TOLERANCE, seeds, {'with': with_it, 'without': without}
    ).verdict()


def test_the_interval_is_wilsons_over_all_episodes_of_all_seeds():
    share = Answer(QUESTIONS[3], 'wall', TOLERANCE, SEEDS, {'with': figures(0.5, 0.7, 0.9)}).share(
        'with'
    )
    n, p, z = 300, 0.7, 1.959964
    centre, width = (p + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n)
    width *= math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (share.low, share.high) == pytest.approx((centre - width, centre + width), abs=1e-6)
    assert share.half_width == pytest.approx(width, abs=1e-6)
    assert (share.mean, share.seeds, share.episodes) == (pytest.approx(0.7), 3, 300)
    assert share.spread == pytest.approx(0.2)
    none = Answer(QUESTIONS[3], 'wall', TOLERANCE, SEEDS, {'with': figures(0.0, 0.0)}).share('with')
    assert none.low == pytest.approx(0, abs=1e-9) and none.high > 0.01  # never is not certain


def test_clear_orders_agree_or_disagree():
    assert said(figures(0.9, 0.8, 0.9), figures(0.5, 0.4, 0.5)) == AGREES
    assert said(figures(0.5, 0.4, 0.5), figures(0.9, 0.8, 0.9)) == DISAGREES


@pytest.mark.parametrize(
    ('with_it', 'without', 'seeds'),
    [
        (figures(0.6, 0.6, 0.6), figures(0.56, 0.56, 0.56), SEEDS),  # may be by chance
        (figures(0.5, 0.5, 0.5), figures(0.5, 0.5, 0.5), SEEDS),
        (figures(0.9, 0.8), figures(0.5, 0.4, 0.5), SEEDS),  # a seed is missing
        (figures(0.9, 0.9, 0.9), [], SEEDS),  # a variant is
        (figures(0.9), figures(0.1), (1,)),  # a single seed tells nothing of seeds
        (figures(1.0, 1.0, 0.3), figures(0.4, 0.4, 0.4), SEEDS),  # one seed says the opposite
        (figures(0.3, 0.3, 0.5), figures(1.0, 1.0, 0.4), SEEDS),
        (figures(0.9, 0.8, 0.9, episodes=5), figures(0.5, 0.4, 0.5, episodes=5), SEEDS),  # too few
    ],
)
def test_what_is_not_clear_cannot_be_told(with_it, without, seeds):
    assert said(with_it, without, seeds) == CANNOT_TELL


def test_what_tells_is_in_which_tasks_only_one_of_both_succeeded():
    """By hand: 6 of 6 by chance is 2/64, 5 of 5 is 2/32, 8 of 9 is 20/512, 7 of 8 is 18/256."""

    def word(with_it, without):
        """In the tasks 0 to 9 of three seeds: 1 where it succeeded."""
        runs = [
            [
                {'seed': seed, 'success': 0.0, 'ends': [0.0 if one == '1' else 9.0 for one in told]}
                for seed, told in zip(SEEDS, both.split(), strict=True)
            ]
            for both in (with_it, without)
        ]
        return said(*runs)

    assert word('1110 1100 1000', '0000 0000 0000') == AGREES
    assert word('1110 1000 1000', '0000 0000 0000') == CANNOT_TELL
    assert word('0000 0000 0000', '1110 1100 1000') == DISAGREES
    assert word('11111 11111 11111', '00001 00011 00111') == AGREES
    assert word('1110 1110 1100', '0001 0000 0000') == AGREES
    assert word('1110 1110 1000', '0001 0000 0000') == CANNOT_TELL
    assert word('1111 1110 0001', '0000 0000 0010') == CANNOT_TELL  # not so in the last seed


def test_an_answer_of_several_claims_needs_all_of_them_and_one_against_it_is_enough():
    high, middle, low = figures(0.9, 0.9, 0.9), figures(0.6, 0.6, 0.6), figures(0.2, 0.2, 0.2)
    names = [variant.name for variant in QUESTIONS[8].variants]

    def word(*found):
        return Answer(
            QUESTIONS[8], 'wall', TOLERANCE, SEEDS, dict(zip(names, found, strict=True))
        ).verdict()

    assert names == ['3 layers', '6 layers', '12 layers']
    assert word(low, high, middle) == AGREES
    assert word(low, middle, high) == DISAGREES
    assert word(low, high, high) == CANNOT_TELL  # six layers are not clearly above twelve
    assert word([], middle, high) == DISAGREES


def test_every_question_claims_something_of_its_own_variants():
    for question in QUESTIONS.values():
        names = {variant.name for variant in question.variants}
        assert question.claims and {name for pair in question.claims for name in pair} <= names


def test_the_table_has_the_papers_word_beside_ours(tmp_path):
    found = {'DINOv2': figures(0.5, 1.0, episodes=2)}
    beside = {'no motion': {'success': 0.25, 'half_width': 0.3, 'ends': [0.0] * 4}}
    answer = Answer(
        QUESTIONS[4], 'wall', TOLERANCE, SEEDS, found, {'V-JEPA': 'vitl16.pth.tar'}, beside
    )
    lines = markdown(answer).splitlines()
    assert "The paper (Figure 4 right): DINO's are above V-JEPA's." in lines
    half = 100 * answer.share('DINOv2').half_width
    row = f'| DINOv2 | above V-JEPA, V-JEPA 2 | 75% | ± {half:.0f}% | ± 35% | 2 | 4 | 150 | 750 |'
    assert row in lines
    assert '| V-JEPA | below DINOv2, DINOv3 | not run: needs vitl16.pth.tar | | | | | | |' in lines
    assert '| trained on the task | | not run | | | | | | |' in lines
    assert '| *no motion* | | 25% | ± 30% | | | 4 | | |' in lines
    assert 'Beside the paper: **cannot tell**.' in lines
    assert '- DINOv3 above V-JEPA 2: cannot tell' in lines
    write_csv(tmp_path / 'a.csv', answer)
    rows = list(csv.reader((tmp_path / 'a.csv').open()))
    assert rows[0][-3:] == ['data', 'tasks', 'weights']
    assert rows[1:] == [
        ['4', 'wall', 'DINOv2', '1', '2', '0.5', '100.0', '500.0', 'd', 't', 'w'],
        ['4', 'wall', 'DINOv2', '2', '2', '1.0', '200.0', '1000.0', 'd', 't', 'w'],
        ['4', 'wall', 'no motion', '', '4', '0.25', '', '', '', '', ''],
    ]
    draw(tmp_path / 'a.png', answer)
    assert (tmp_path / 'a.png').read_bytes().startswith(b'\x89PNG')
