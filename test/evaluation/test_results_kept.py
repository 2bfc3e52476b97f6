# SPDX-License-Identifier: Apache-2.0
"""Results that took hours are not written over by the next call."""

import pytest

pytest.importorskip('jepa_wm_ros.sim')
pytest.importorskip('mujoco')

from jepa_wm_ros.evaluation import worlds  # noqa: E402
from jepa_wm_ros.evaluation.ceiling import command as ceiling  # noqa: E402
from jepa_wm_ros.evaluation.closed_loop import command as closed_loop  # noqa: E402
from jepa_wm_ros.evaluation.closed_loop import cube  # noqa: E402


@pytest.mark.parametrize(
    ('main', 'words'),
    [
        (closed_loop.main, []),
        (cube.main, ['push']),
        (worlds.main, ['wall']),
        (ceiling.main, ['wall']),
    ],
)
def test_rows_that_are_there_are_kept(main, words, tmp_path, capsys):
    out = tmp_path / 'rows.json'
    out.write_text('yesterday')
    assert main([*words, '--episodes', '1', '--out', str(out)]) == 1
    said = capsys.readouterr()
    assert f'{out} is there already' in said.err and '--force' in said.err and not said.out
    assert out.read_text() == 'yesterday'


def test_rows_are_written_over_where_somebody_wants_it(tmp_path):
    out = tmp_path / 'rows.json'
    out.write_text('yesterday')
    words = ['wall', '--episodes', '1', '--planner', '4x1', '--out', str(out)]
    assert ceiling.main([*words, '--force']) == 0
    assert '"rows"' in out.read_text()
