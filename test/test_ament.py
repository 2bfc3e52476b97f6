# SPDX-License-Identifier: Apache-2.0
"""The linters of ament, where they are installed, with the settings in setup.cfg."""

import shutil

import pytest

from support.paths import ROOT

FOLDERS = [str(ROOT / name) for name in ('jepa_wm_ros', 'launch', 'test', 'setup.py')]
# What a private name or a test says is its name; a summary stands beside the opening quotes.
NOT_ASKED = (
    'D100 D101 D102 D103 D104 D105 D106 D107 D203 D205 D209 D213 D400 D401 D402 D403 D404 D413 '
    'D415 D417'
)


def test_flake8():
    linter = pytest.importorskip('ament_flake8.main', reason='ament_flake8 is not installed')
    status, errors = linter.main_with_errors(argv=['--config', str(ROOT / 'setup.cfg'), *FOLDERS])
    assert status == 0, '\n'.join(errors)


def test_pep257(capsys):
    linter = pytest.importorskip('ament_pep257.main', reason='ament_pep257 is not installed')
    assert linter.main(argv=['--ignore', *NOT_ASKED.split(), '--', *FOLDERS]) == 0, (
        capsys.readouterr().out
    )


def test_xmllint(capsys):
    linter = pytest.importorskip('ament_xmllint.main', reason='ament_xmllint is not installed')
    if not shutil.which('xmllint'):
        pytest.skip('xmllint is not installed')
    assert linter.main(argv=[str(ROOT / 'package.xml')]) == 0, capsys.readouterr().out
