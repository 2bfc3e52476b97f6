#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: scripts/setup.sh {jazzy|kilted}
#
# The whole environment of one ROS distribution in .venv (jazzy) or .venv-<distro>: pinned wheels,
# jepa_wm_msgs, and this package in editable form. Safe to call again: three marks inside the
# environment hold a hash of what each stage was made from, and a stage runs only when its hash has
# changed. A stage that was interrupted left no mark and is done again; wheels that were not all
# installed are not mended but installed anew, for pip takes half an installation for a whole one.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
distro=${1:-jazzy}
case $distro in
  jazzy) venv=$root/.venv ;;
  kilted) venv=$root/.venv-kilted ;;
  *) echo "error: DISTRO=$distro is not known; use DISTRO=jazzy or DISTRO=kilted" >&2; exit 2 ;;
esac
bin=$venv/bin
log=$venv/setup.log
opengl_packages=(libegl1 libgl1 libgl1-mesa-dri)
gigabytes=12  # 7 of them stay; pip keeps the wheels beside them while it installs
for_cache=14  # and once more in its cache, where there is room
pins=("$root"/requirements/{base,test,"ros-$distro"}.txt)
begun=$SECONDS

fail() { echo "error: $1" >&2; exit 1; }

# stage TEXT COMMAND...: one line with what is done and how long it took; its output goes to $log.
stage() {
  local text=$1 from=$SECONDS; shift
  printf '[%d:%02d] %-52s ' $(((from - begun) / 60)) $(((from - begun) % 60)) "$text"
  if "$@" >>"$log" 2>&1; then
    echo "$((SECONDS - from)) s"
  else
    echo failed
    tail -n 15 "$log" >&2
    (($(free_gigabytes) > 0)) || echo "error: the disk of $venv is full" >&2
    fail "$text failed; the whole output is in $log; call make setup again once it is mended"
  fi
}

free_gigabytes() { df --output=avail -BG "$venv" | tail -n 1 | tr -dc 0-9; }
hash_of_files() { (cd "$root" && find "$@" -type f | LC_ALL=C sort | xargs sha256sum) | short; }
hash_of_pins() { { cat "${pins[@]}" | sed 's/ *#.*//; /^$/d'; echo "$root"; } | short; }
short() { sha256sum | cut -c1-16; }
marked() { [[ -f $venv/.jepa_wm_$1 && $(<"$venv/.jepa_wm_$1") == "$2" ]]; }
mark() { echo "$2" >"$venv/.jepa_wm_$1"; }

# --- what the system must have --------------------------------------------------------------------

# The first Python that could be used as it is, else the first of a fitting version.
find_python() {
  local name found=()
  for name in python3.11 python3.12 python3.13 python3; do
    "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
      || continue
    [[ -n $(python_packages "$name") ]] || { command -v "$name"; return; }
    found+=("$(command -v "$name")")
  done
  [[ ${#found[@]} == 0 ]] || { echo "${found[0]}"; return; }
  fail "no Python 3.11, 3.12 or 3.13 on the PATH (the pinned wheels need one of them); install one, for example: apt-get install python3.11"
}

has_library() { [[ $(ldconfig -p 2>/dev/null || /sbin/ldconfig -p) == *"$1"* ]]; }

python_packages() {
  local version
  version=$("$1" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
  "$1" -c 'import ensurepip, venv' 2>/dev/null || echo "$version-venv"
  "$1" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' \
    || echo "$version-dev"
}

build_packages() {
  python_packages "$1"
  command -v c++ >/dev/null || command -v g++ >/dev/null || echo g++
  command -v make >/dev/null || echo make
}

# What a picture without a display needs, so that all packages can be asked for at once; whether it
# really draws is asked later (draws_pictures).
picture_packages() {
  { has_library libEGL.so.1 && has_library libEGL_mesa.so && has_library libGL.so.1; } \
    || has_library libEGL_nvidia.so || has_library libOSMesa.so || printf '%s\n' "${opengl_packages[@]}"
}

# dpkg first: it refuses everything after an installation that was interrupted.
apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  dpkg --configure -a && apt-get update -q \
    && apt-get install -qy -o DPkg::Lock::Timeout=120 "$@"
}

need_packages() {
  [[ $# != 0 ]] || return 0
  local command="apt-get update && apt-get install -y $*"
  command -v apt-get >/dev/null || fail "system packages are missing; Debian and Ubuntu call them: $*"
  [[ $(id -u) == 0 ]] || fail "system packages are missing; type this, then the same make again: sudo sh -c '$command'"
  stage "system packages: $*" apt_install "$@"
}

# Asks the code by which the simulated cell chooses (it remembers the answer); else $why says why not.
draws_pictures() { why=$("$bin/python" "$root/jepa_wm_ros/sim/opengl.py" 2>&1 >/dev/null); }

# Mesa gave OSMesa up; where a distribution still has it, it is what remains when EGL does not draw.
need_pictures() {
  draws_pictures && return
  echo "${why#error: }" >&2
  need_packages "${opengl_packages[@]}"
  draws_pictures && return
  [[ ! $(apt-cache show libosmesa6 2>/dev/null) ]] || need_packages libosmesa6
  draws_pictures || fail "${why#error: }"
}

# --- the stages -----------------------------------------------------------------------------------

# Whether the folder may be emptied; an environment that somebody made by hand may not.
is_ours() { [[ ! -e $venv || -f $venv/.jepa_wm_begun || ! $(ls -A "$venv") ]]; }

# The mark that it is ours goes last, so that this may be interrupted too.
empty_environment() {
  mkdir -p "$venv" && mark begun "$pins_hash" \
    && find -H "$venv" -mindepth 1 ! -path "$venv/.jepa_wm_begun" -delete
}

# The mark alone does not tell: the Python that the environment belongs to may have been removed.
has_wheels() { marked wheels "$pins_hash" && "$bin/python" -c 'import pip' 2>/dev/null; }

# pip unpacks on the disk whose room was looked at: /tmp may lie in memory.
install_wheels() {
  local requirements=() cache=() file
  for file in "${pins[@]}"; do requirements+=(-r "$file"); done
  (($(free_gigabytes) >= for_cache)) || cache=(--no-cache-dir)
  mkdir "$venv/tmp" \
    && TMPDIR=$venv/tmp "$bin/python" -m pip install --disable-pip-version-check \
      --progress-bar off "${cache[@]}" "${requirements[@]}" \
    && rm -rf "$venv/tmp"
}

build_interfaces() {
  local build=$venv/build_jepa_wm_msgs
  rm -rf "$build"
  PATH=$bin:$PATH cmake -S "$root/jepa_wm_msgs" -B "$build" \
    -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF -DPython3_EXECUTABLE="$bin/python" \
    -DCMAKE_INSTALL_PREFIX="$venv" -DCMAKE_PREFIX_PATH="$venv" \
    -DCMAKE_PROJECT_INCLUDE="$root/scripts/drop_missing_includes.cmake" &&
  PATH=$bin:$PATH cmake --build "$build" --parallel "$(nproc)" &&
  PATH=$bin:$PATH cmake --install "$build" &&
  rm -rf "$build" &&
  "$bin/python" -c 'import jepa_wm_msgs.action, jepa_wm_msgs.msg, jepa_wm_msgs.srv'
}

install_package() {
  local site old
  site=$("$bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))') || return
  # pip refuses to replace an installation of which it was interrupted in the middle.
  for old in "$site"/jepa_wm_ros-*.dist-info; do
    [[ -f $old/RECORD ]] || rm -rf "$old"
  done
  # The wheels' bootstrapper sets LD_LIBRARY_PATH; the ament index wants this beside it.
  echo "import os, sys; os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)" \
    >"$site/jepa_wm_ament_prefix.pth" &&
  "$bin/python" -m pip install --disable-pip-version-check --no-build-isolation --no-deps -e "$root"
}

# Two makes at once must not fill one environment together.
exec 9<"$root/requirements"
flock --nonblock 9 || { echo 'waiting for another make setup in this checkout'; flock 9; }

# A Python of another ROS environment (ours, called from a node) must not hand its guard down.
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE

pins_hash=$(hash_of_pins)
interfaces_hash=$pins_hash-$(hash_of_files jepa_wm_msgs scripts/drop_missing_includes.cmake)
package_hash=$pins_hash-$(hash_of_files setup.py setup.cfg)

if ! has_wheels; then
  is_ours || fail "$venv was not made by make setup; move it away and call make again"
  python=$(find_python)
  empty_environment || fail "$venv cannot be emptied (was it made by another user?); remove it: sudo rm -rf '$venv'"
  mapfile -t packages < <(build_packages "$python"; picture_packages)
  need_packages "${packages[@]}"
  (($(free_gigabytes) >= gigabytes)) \
    || fail "the environment needs $gigabytes GB on the disk of $venv and $(free_gigabytes) GB are free"
  stage "virtual environment ${venv##*/} ($("$python" -V))" "$python" -m venv "$venv"
  stage 'pinned wheels (about 3 GB, some minutes)' install_wheels
  mark wheels "$pins_hash"
fi
need_pictures
if ! marked interfaces "$interfaces_hash"; then
  mapfile -t packages < <(build_packages "$bin/python")
  need_packages "${packages[@]}"
  stage 'building jepa_wm_msgs' build_interfaces
  mark interfaces "$interfaces_hash"
fi
if ! marked package "$package_hash"; then
  stage 'installing jepa_wm_ros' install_package
  mark package "$package_hash"
fi
