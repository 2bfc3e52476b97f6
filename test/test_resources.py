# SPDX-License-Identifier: Apache-2.0
"""Files of the package are found wherever it is installed."""

import sys
from pathlib import Path

import pytest

from jepa_wm_ros import resources

CHECKOUT = Path(resources.__file__).resolve().parent.parent


def _install(prefix: Path, marker: bool = True) -> Path:
    share = prefix / 'share' / 'jepa_wm_ros'
    (share / 'config').mkdir(parents=True)
    (share / 'config' / 'params.yaml').write_text('{}')
    if marker:
        index = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages'
        index.mkdir(parents=True)
        (index / 'jepa_wm_ros').touch()
    return share / 'config' / 'params.yaml'


@pytest.fixture
def nothing_installed(monkeypatch, tmp_path):
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'bare'))


def test_a_checkout_serves_its_own_files(nothing_installed):
    assert resources.find('config', 'params.yaml') == CHECKOUT / 'config' / 'params.yaml'
    assert resources.find('weights').is_dir()


def test_a_pip_installation_goes_before_the_checkout(nothing_installed, monkeypatch, tmp_path):
    path = _install(tmp_path / 'environment', marker=False)
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'environment'))
    assert resources.find('config', 'params.yaml') == path


def test_a_sourced_workspace_goes_before_everything(nothing_installed, monkeypatch, tmp_path):
    _install(tmp_path / 'environment', marker=False)
    monkeypatch.setattr(sys, 'prefix', str(tmp_path / 'environment'))
    path = _install(tmp_path / 'workspace')
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'/nowhere:{tmp_path / "workspace"}')
    assert resources.find('config', 'params.yaml') == path


def test_a_prefix_without_the_package_marker_is_passed_over(
    nothing_installed, monkeypatch, tmp_path
):
    _install(tmp_path / 'other', marker=False)
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'other'))
    assert resources.find('config', 'params.yaml') == CHECKOUT / 'config' / 'params.yaml'


def test_a_missing_file_is_one_line_that_names_every_place(nothing_installed, tmp_path):
    with pytest.raises(resources.ResourceError) as caught:
        resources.find('config', 'no_such.yaml')
    text = str(caught.value)
    assert '\n' not in text
    for place in (tmp_path / 'bare', CHECKOUT):
        assert str(place) in text
