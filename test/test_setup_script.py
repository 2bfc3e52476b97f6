# SPDX-License-Identifier: Apache-2.0
"""scripts/setup.sh with a Python that installs nothing: what runs, and what a failure leaves.

The tools below note how they were called and fail, or kill the script, where the test says so.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STAGES = ['-m venv', '-r ', 'cmake --build', '-e ']  # words of the calls that make the environment
TOOL = r"""#!/bin/bash
name=$(basename "$0") prefix=$(dirname "$(dirname "$0")")
call="$name $*"
echo "${call%%$'\n'*}" >>"$FAKE/calls"
wanted=$(cat "$FAKE/fail" 2>/dev/null)
case $call in
  *'-m venv '*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  *'-m pip install '*'-r '*)
    [[ ! -e $prefix/half ]] || { echo 'half an environment was kept'; exit 1; }
    touch "$prefix/half" ;;
  *'opengl.py'*) [[ ! -e $FAKE/dark ]] || { echo 'error: egl: no libGL.so.1' >&2; exit 1; } ;;
  *'get_path("purelib")'*) mkdir -p "$prefix/site" && echo "$prefix/site" ;;
  *'print("python%d.%d"'*) echo python3.11 ;;
  'id -u') echo 1000 ;;
  *' -V') echo 'Python 3.11.0' ;;
  'ldconfig '*) cat "$FAKE/libraries" ;;
esac || exit
[[ -z $wanted || $call != *"${wanted#* }"* ]] || case $wanted in
  fails*) echo 'No space left on device'; exit 1 ;;
  killed*) kill -9 "$(cat "$FAKE/setup")"; exit 1 ;;
esac
exit 0
"""


class Setup:
    """A checkout with the script, and tools that only note how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.fake = folder / 'checkout', folder / 'fake'
        self.venv = self.folder / '.venv'
        for name in ('scripts', 'requirements', 'jepa_wm_msgs', 'setup.py', 'setup.cfg'):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            (self.folder).mkdir(exist_ok=True)
            copy(ROOT / name, self.folder / name)
        (self.fake / 'bin').mkdir(parents=True)
        for name in ('python3.11', 'cmake', 'g++', 'c++', 'make', 'apt-get', 'ldconfig', 'id'):
            tool = self.fake / 'bin' / name
            tool.write_text(TOOL)
            tool.chmod(0o755)
        self.libraries('libEGL.so.1 libEGL_mesa.so.0 libGL.so.1')

    def libraries(self, names: str) -> None:
        """What the linker finds on the system."""
        (self.fake / 'libraries').write_text(names)

    def fail(self, how: str) -> None:
        """Let the call that contains some words fail, or kill the script: 'fails -m venv'."""
        (self.fake / 'fail').write_text(how)

    def run(self) -> subprocess.CompletedProcess:
        """Call the script once; what the tools were called with is in `calls` afterwards."""
        (self.fake / 'calls').write_text('')
        script = f'echo $$ >"$FAKE/setup"; exec "{self.folder}/scripts/setup.sh" jazzy'
        return subprocess.run(
            ['bash', '-c', script],
            env={
                'PATH': f'{self.fake / "bin"}{os.pathsep}/usr/bin{os.pathsep}/bin',
                'FAKE': str(self.fake),
                'HOME': str(self.fake),
            },
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def made(self) -> list[str]:
        """The stages that the last run came to, in order."""
        calls = (self.fake / 'calls').read_text().splitlines()
        return [stage for call in calls for stage in STAGES if stage in call]


@pytest.fixture
def setup(tmp_path):
    if shutil.disk_usage(tmp_path).free < 15 * 2**30:
        pytest.skip('the script refuses a disk with so little room')
    return Setup(tmp_path)


def succeeds(done: subprocess.CompletedProcess) -> bool:
    assert done.returncode == 0, done.stdout + done.stderr
    return True


def test_every_stage_runs_once_and_then_none(setup):
    assert succeeds(setup.run()) and setup.made == STAGES
    again = setup.run()
    assert succeeds(again) and setup.made == [] and again.stdout + again.stderr == ''


@pytest.mark.parametrize('how', ['fails', 'killed'])
@pytest.mark.parametrize('stage', STAGES)
def test_after_a_stage_that_did_not_end_the_same_command_works(setup, stage, how):
    setup.fail(f'{how} {stage}')
    first = setup.run()
    assert first.returncode != 0
    if how == 'fails':
        assert 'No space left' in first.stderr and 'call make setup again' in first.stderr
    setup.fail('')
    whole = ['-m venv', '-r ']  # of which a part is no use
    assert succeeds(setup.run())
    assert setup.made == (STAGES if stage in whole else STAGES[STAGES.index(stage) :])


def test_what_a_stage_is_made_from_decides_what_is_made_again(setup):
    assert succeeds(setup.run())
    (setup.folder / 'jepa_wm_msgs' / 'msg' / 'New.msg').write_text('bool new')
    assert succeeds(setup.run()) and setup.made == ['cmake --build']
    with (setup.folder / 'requirements' / 'base.txt').open('a') as pins:
        pins.write('new==1.0\n')
    assert succeeds(setup.run()) and setup.made == STAGES


def test_an_environment_whose_python_is_gone_is_made_anew(setup):
    assert succeeds(setup.run())
    (setup.venv / 'bin' / 'python').unlink()
    assert succeeds(setup.run()) and setup.made[:2] == ['-m venv', '-r ']


def test_a_folder_that_somebody_else_made_is_left_alone(setup):
    (setup.venv / 'bin').mkdir(parents=True)
    (setup.venv / 'bin' / 'mine').touch()
    done = setup.run()
    assert done.returncode == 1 and 'was not made by make setup' in done.stderr
    assert (setup.venv / 'bin' / 'mine').exists()
    shutil.rmtree(setup.venv / 'bin')  # empty, as an interruption may leave it
    assert succeeds(setup.run())


def test_all_missing_packages_are_asked_for_at_once(setup):
    setup.libraries('libEGL.so.1 libEGL_mesa.so.0')
    done = setup.run()
    assert done.returncode == 1 and setup.made == []
    assert 'apt-get install -y libegl1 libgl1 libgl1-mesa-dri' in done.stderr
    assert "sudo sh -c '" in done.stderr
    setup.libraries('libEGL.so.1 libEGL_mesa.so.0 libGL.so.1')
    assert succeeds(setup.run())


def test_an_environment_that_no_longer_draws_says_why_and_what_to_install(setup):
    assert succeeds(setup.run())
    (setup.fake / 'dark').touch()
    done = setup.run()
    assert done.returncode == 1 and done.stderr.startswith('egl: no libGL.so.1\n')
    assert 'apt-get install -y libegl1 libgl1 libgl1-mesa-dri' in done.stderr
    (setup.fake / 'dark').unlink()
    assert succeeds(setup.run()) and setup.made == []


def test_an_installation_of_this_package_that_was_cut_short_is_cleared_away(setup):
    setup.fail('killed -e ')
    setup.run()
    torn = setup.venv / 'site' / 'jepa_wm_ros-0.1.0.dist-info'
    torn.mkdir()
    setup.fail('')
    assert succeeds(setup.run()) and not torn.exists()


def test_an_environment_may_be_a_link_to_another_disk(setup, tmp_path):
    (tmp_path / 'other').mkdir()
    setup.venv.symlink_to(tmp_path / 'other')
    setup.fail('fails -r ')
    assert setup.run().returncode == 1
    setup.fail('')
    assert succeeds(setup.run()) and setup.venv.is_symlink()
