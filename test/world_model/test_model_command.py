# SPDX-License-Identifier: Apache-2.0
"""The command `model`: every name, honest about what is missing, one line for what goes wrong."""

import pytest

from jepa_wm_ros.world_model.files import command
from jepa_wm_ros.world_model.files.registry import ENTRIES
from support.paths import GOLDENS

GOLDEN = GOLDENS / 'adaln_rope_ftprop'


@pytest.fixture
def run(capsys):
    def run(*arguments):
        status = command.main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_list_names_every_model_its_files_and_where_they_come_from(run, tmp_path):
    status, out, _ = run('--weights', tmp_path, 'list')
    assert status == 0
    assert len(ENTRIES) == 14
    for name, entry in ENTRIES.items():
        line = next(line for line in out.splitlines() if line.startswith(name + ' '))
        assert entry.spec.licence in line and ' no ' in line
        for file in entry.files:
            assert file.file in line and file.url in out


def test_list_says_which_models_are_present(run, tmp_path):
    for file in ENTRIES['dino_wm_wall'].files:
        (tmp_path / file.file).touch()
    _, out, _ = run('--weights', tmp_path, 'list')
    present = [line.split()[0] for line in out.splitlines() if ' yes ' in line]
    assert present == ['dino_wm_wall']


def test_info_gives_counts_actions_rate_and_crop(run):
    status, out, _ = run('info', 'vjepa2_ac_oss')
    assert status == 0
    for part in (
        '305,213,824 parameters',
        '1,012,173,952 parameters',
        'sequence',
        'depth 24',
        '4 steps/s',
        '256 x 256 px',
        'central square',
        '7 numbers',
    ):
        assert part in out


def test_check_reports_time_and_memory(run):
    status, out, _ = run('check', GOLDEN, '--candidates', 2)
    assert status == 0
    assert 'imagine 2 x 3 steps' in out and 'MiB' in out


def test_check_runs_with_random_weights_before_anything_is_fetched(run, tmp_path):
    status, out, _ = run('--weights', tmp_path, 'check', 'jepa_wm_cell', '--random')
    assert status == 0 and 'random weights' in out


def test_convert_writes_a_file_that_checks(run, tmp_path):
    out_file = tmp_path / 'm.safetensors'
    assert run('convert', GOLDEN, out_file)[0] == 0
    status, out, _ = run('check', out_file)
    assert status == 0 and 'adaln_rope_ftprop' in out


def test_convert_writes_over_a_file_only_where_somebody_wants_it(run, tmp_path):
    out_file = tmp_path / 'm.safetensors'
    out_file.write_bytes(b'mine')
    status, _, said = run('convert', GOLDEN, out_file)
    assert status == 1 and f'{out_file} is there already' in said and '--force' in said
    assert [path.name for path in tmp_path.iterdir()] == ['m.safetensors']
    assert out_file.read_bytes() == b'mine'
    assert run('convert', GOLDEN, out_file, '--force')[0] == 0
    assert run('check', out_file)[0] == 0


@pytest.mark.parametrize(
    'arguments',
    [
        ('check', 'jepa_wm_nothing'),
        ('check', 'jepa_wm_droid'),
        ('check', '/nowhere/m.safetensors'),
        ('info', 'nothing'),
        ('convert', GOLDEN, 'm.pth'),
    ],
)
def test_what_goes_wrong_is_one_line_and_status_1(run, tmp_path, arguments):
    status, out, err = run('--weights', tmp_path, *arguments)
    assert status == 1
    assert err.startswith('error: ') and err.count('\n') == 1 and 'Traceback' not in err
