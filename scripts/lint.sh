#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: scripts/lint.sh BIN
#
# Formatter, linter, types of the rooms without ROS, shell scripts and package descriptions, with
# the tools in the folder BIN. Everything is looked at, whatever fails on the way.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
bin=$1
status=0

check() { "$@" || status=1; }

# Tests are imported by their file names alone.
unique_names() {
  local twice
  twice=$(find test -name 'test_*.py' -printf '%f\n' | sort | uniq -d)
  [[ -z $twice ]] || { echo "error: more than one file in test/ is called $twice" >&2; return 1; }
}

check "$bin/ruff" format --check --quiet .
check "$bin/ruff" check --quiet .
check "$bin/mypy" --no-error-summary
check "$bin/shellcheck" scripts/*.sh .ci/run
unique_names || status=1
check "$bin/python" - <<'PYTHON'
"""Both package.xml are what catkin and colcon read, and agree on version and maintainer."""
from catkin_pkg.package import parse_package

ours, messages = (parse_package(f'{folder}/package.xml') for folder in ('.', 'jepa_wm_msgs'))
for package in (ours, messages):
    package.validate()
assert ours.version == messages.version, f'versions {ours.version} and {messages.version} differ'
assert str(ours.maintainers[0]) == str(messages.maintainers[0]), 'the maintainers differ'
PYTHON
if command -v xmllint >/dev/null; then
  check xmllint --noout package.xml jepa_wm_msgs/package.xml
fi
exit "$status"
