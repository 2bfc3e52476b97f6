#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: scripts/bare_root.sh SUITE [DIR]       as root, with debootstrap installed
#
# The two commands of the README on a machine that has nothing: a bare root of Debian or Ubuntu
# (SUITE: bookworm, trixie, noble, ...) in DIR with python3, python3-venv, g++, make, git and
# ca-certificates, a clone of the committed state, and in it `make demo`, `make test` and `make demo`
# again, with their times. A root that is there already is used again, its clone made anew.
set -uo pipefail
suite=${1:?usage: scripts/bare_root.sh SUITE [DIR]}
root=${2:-/var/tmp/jepa_wm_ros_$suite}
here=$(cd "$(dirname "$0")/.." && pwd)
packages=python3,python3-venv,g++,make,git,ca-certificates
status=0

fail() { echo "error: $1" >&2; exit 1; }

timed() {
  local text=$1 from=$SECONDS; shift
  if "$@"; then
    echo "$suite: $text: $((SECONDS - from)) s"
  else
    status=$?
    echo "$suite: $text: FAILED with status $status after $((SECONDS - from)) s"
  fi
}

# How the host reaches the package registries (a proxy, its certificates, an index of its own) is no
# part of what is tried here.
lend_network() {
  local file name
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
    [[ ! -f $file ]] || cp "$file" "$root$file"
  done
  for name in "${!PIP_@}" http_proxy https_proxy no_proxy; do
    [[ -z ${!name:-} || ${!name} == /* && ! -e $root${!name} ]] || lent+=("$name=${!name}")
  done
}

inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "${lent[@]}" "$@"; }

[[ $(id -u) == 0 ]] || fail 'a bare root is made by root: call this with sudo'
command -v debootstrap >/dev/null || fail 'debootstrap is missing: apt-get install debootstrap'
if [[ ! -f $root/.bare ]]; then
  rm -rf "$root"
  timed "debootstrap --variant=minbase --include=$packages" \
    debootstrap --variant=minbase --include="$packages" "$suite" "$root" >"$root.log" 2>&1
  ((status == 0)) || fail "debootstrap made no root of $suite: see $root.log"
  touch "$root/.bare"
fi
lent=()
lend_network
trap 'umount "$root/proc" "$root/dev/shm" "$root/dev" 2>/dev/null' EXIT
mount -t proc proc "$root/proc" || fail "cannot mount $root/proc"
{ mount --bind /dev "$root/dev" && mount -t tmpfs shm "$root/dev/shm"; } || fail "cannot mount $root/dev"

rm -rf "$root/root/jepa_wm_ros"
git clone --quiet "$here" "$root/root/jepa_wm_ros" || fail "cannot clone $here"
echo "$suite: $(inside python3 -V), $(inside c++ --version | head -n 1)"
timed 'make demo, from nothing' inside make -C /root/jepa_wm_ros demo
timed 'make test' inside make -C /root/jepa_wm_ros test
timed 'make demo, again' inside make -C /root/jepa_wm_ros demo SEED=1
exit "$status"
