# SPDX-License-Identifier: Apache-2.0
"""The command `train`, killed in the middle of each stage: the same command ends where one that
nobody killed does, bit for bit.
"""

import random
import signal
import time

import pytest
import torch
import yaml

from jepa_wm_ros.world_model.files.safe_files import read_safetensors
from support.python_process import python
from support.toy_training import PROPOSAL, TOY, run, words_of

STAGES = ('encoder', 'predictor', 'proposal')
LENGTH, EVERY = 48, 4  # iterations of each stage, and from one checkpoint to the next
LATEST = LENGTH // EVERY // 2  # round of a stage after which it is killed: it must not be over


def started(words):
    """The command in a process of its own."""
    return python('-u', '-m', 'jepa_wm_ros', 'train', *words)


def killed(words, moment, part):
    """Start it, and kill it when it has said `moment` and `part` of the time since what it said
    before has passed again.
    """
    with started(words) as process:
        before = said = time.monotonic()
        for line in process.stdout:
            before, said = said, time.monotonic()
            if line.startswith(moment):
                break
        else:
            pytest.fail(f'it ended before it said {moment!r}')
        time.sleep(part * min(said - before, 0.1))  # the moment that was drawn
        process.kill()
        assert process.wait() == -signal.SIGKILL, 'it ended before it was killed'


def test_a_run_that_is_killed_in_every_stage_ends_at_the_same_weights(folders, tmp_path):
    seed = random.SystemRandom().randrange(2**32)
    print(f'moments drawn with seed {seed}')
    draw = random.Random(seed)
    config = tmp_path / 'all.yaml'
    config.write_text(yaml.safe_dump(TOY | {'proposal': PROPOSAL}))
    more = ['--config', str(config), '--iterations', str(LENGTH), '--every', str(EVERY)]
    assert run(folders, 'whole', *more) == 0
    words = words_of(folders, 'killed', *more)
    says = [f'{stage} {EVERY * i}:' for stage in STAGES for i in range(1, LENGTH // EVERY + 1)]
    for number in range(len(STAGES)):
        # From the last round of the stage before: also before a stage has a checkpoint.
        after = number * LENGTH // EVERY - 1 + draw.randint(0 if number else 1, LATEST)
        moment, part = says[after], 2 * draw.random()
        print(f'killed {part:.2f} of a round after {moment}')
        killed(words, moment, part)
        assert not (folders / 'killed' / 'toy.safetensors').exists()
    with started(words) as process:
        said = process.stdout.read()
        assert process.wait() == 0, said
    whole, ended = (
        read_safetensors(folders / name / 'toy.safetensors')[0] for name in ('whole', 'killed')
    )
    assert whole.keys() == ended.keys() and any(name.startswith('proposal.') for name in whole)
    assert [name for name in whole if not torch.equal(whole[name], ended[name])] == []
