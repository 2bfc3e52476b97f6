#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: scripts/bare_root.sh [SUITE...]        as root, with debootstrap installed
#
# The two commands of the README on machines that have nothing. For each SUITE (bookworm, trixie and
# noble when none is given) debootstrap makes a bare root of Debian or Ubuntu with python3,
# python3-venv, g++, make, git and ca-certificates; into it goes a clone of what is committed here,
# and there `make demo`, `make test` and once more `make demo` are called. Their output is in
# ROOTS/SUITE.log, their times and a verdict are printed.
#
#   ROOTS=/var/tmp/jepa_wm_ros_roots  where the roots are made: 15 GB for each
#   KEEP=1                            leave the roots there; one that is there is used as it is, with
#                                     whatever an earlier call has installed into it
#   MIRROR=...  KEYRING=...           what debootstrap is to use in place of its own
# shellcheck disable=SC2329  # stage calls functions by their names
set -uo pipefail
roots=${ROOTS:-/var/tmp/jepa_wm_ros_roots}
here=$(cd "$(dirname "$0")/.." && pwd)
bare=python3,python3-venv,g++,make,git,ca-certificates
tree=/root/jepa_wm_ros
locks=/tmp/jepa_wm_ros_domains_0
lent=()
failed=0

fail() { echo "error: $1" >&2; exit 1; }
say() { printf '%-9s %-34s %s\n' "$suite" "$1" "$2"; }

# stage TEXT COMMAND...: one line with how long it took; its output goes to $log.
stage() {
  local text=$1 from=$SECONDS status=0; shift
  printf '\n=== %s\n' "$text" >>"$log"
  "$@" >>"$log" 2>&1 || status=$?
  say "$text" "$((SECONDS - from)) s$( ((status == 0)) || echo ", FAILED with status $status")"
  return "$status"
}

# An older debootstrap does not know a newer suite, but another of the same kind is made the same way.
knowledge() {
  local own=$roots/debootstrap alike=sid
  [[ $suite != @(noble|oracular|plucky|questing|resolute) ]] || alike=jammy
  rm -rf "$own" && cp -r /usr/share/debootstrap "$own"
  [[ -e $own/scripts/$suite ]] || ln -s "$alike" "$own/scripts/$suite"
  echo "$own"
}

make_root() {
  local options=(--variant=minbase --include="$bare") known
  known=$(knowledge)
  # A fresh Ubuntu has more than main.
  ! grep -q ubuntu "$known/scripts/$suite" || options+=('--components=main,universe')
  [[ -z ${KEYRING:-} ]] || options+=("--keyring=$KEYRING")
  rm -rf "$root" && mkdir -p "$root" \
    && DEBOOTSTRAP_DIR=$known debootstrap "${options[@]}" "$suite" "$root" ${MIRROR:+"$MIRROR"} \
    && touch "$root/.bare"
}

# How the host reaches the package registries is no part of what is tried: its name servers, proxies,
# certificates and package index go along. Indexes and wheels on its own disk do not.
lend_network() {
  local name value
  cp /etc/resolv.conf /etc/hosts "$root/etc/"
  apt-config dump 2>/dev/null | grep -E '^Acquire::(http|https|ftp)::(.*::)?Proxy ' \
    >"$root/etc/apt/apt.conf.d/00host"
  { echo '[global]'
    python3 -m pip config list 2>/dev/null | sed -n "s/^global\.\(index-url\|proxy\|trusted-host\|timeout\|cert\)='\(.*\)'$/\1 = \2/p"
  } >"$root/etc/pip.conf"
  [[ ! -f /etc/ssl/certs/ca-certificates.crt ]] \
    || cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  lent=()
  for name in {http,https,no}_proxy {HTTP,HTTPS,NO}_PROXY SSL_CERT_FILE \
    PIP_{INDEX_URL,PROXY,TRUSTED_HOST,CERT,DEFAULT_TIMEOUT}; do
    value=${!name:-}
    [[ -z $value ]] || lent+=("$name=$value")
    [[ ! -f $value ]] || install -D -m 644 "$value" "$root$value"
  done
}

# inside COMMAND...: run it in the root, with processes and mounts of its own that end with it. The
# network is the host's, so the locks by which tests share out ROS domains must be so as well.
inside() {
  mkdir -p "$locks" "$root$locks"
  # shellcheck disable=SC2016  # the inner shell expands them
  unshare --mount --pid --fork --kill-child bash -c '
    root=$1 locks=$2; shift 2
    mount -t proc proc "$root/proc" && mount -t sysfs -o ro sys "$root/sys" \
      && mount --rbind /dev "$root/dev" && mount -t tmpfs shm "$root/dev/shm" \
      && mount --bind "$locks" "$root$locks" || exit
    exec chroot "$root" env -i "$@"' \
    inside "$root" "$locks" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "${lent[@]}" "$@"
}

clone() { rm -rf "$root$tree" && git clone --quiet --no-local "$here" "$root$tree"; }

# try_suite: the whole story of $suite; the last line is its verdict.
try_suite() {
  local outcome=works
  : >"$log"
  if [[ -z ${KEEP:-} || ! -f $root/.bare ]]; then
    stage 'debootstrap' make_root \
      || { say verdict "NOT TRIED: debootstrap made no root: $(tail -n 1 "$log")"; return 1; }
  fi
  lend_network
  stage 'clone' clone || return
  say "$(inside python3 -V)" "$(inside git -C $tree log -1 --format='%h %s')"
  stage 'make demo, from nothing' inside make -C $tree demo || outcome='DOES NOT WORK'
  grep -E '^(reached|missed|error)' "$log" | tail -n 1
  stage 'make test' inside make -C $tree test || outcome='DOES NOT WORK'
  grep -E '^=*.*[0-9]+ (passed|failed|error|skipped).* in [0-9.]+s' "$log" | tail -n 1
  stage 'make demo, again' inside make -C $tree demo SEED=1 || outcome='DOES NOT WORK'
  grep -E '^(reached|missed|error)' "$log" | tail -n 1
  say verdict "$outcome"
  [[ $outcome == works ]]
}

[[ $(id -u) == 0 ]] || fail 'bare roots are made by root: call this with sudo'
command -v debootstrap >/dev/null || fail 'debootstrap is missing: apt-get install debootstrap'
mkdir -p "$roots" || exit
[[ $# != 0 ]] || set -- bookworm trixie noble
for suite in "$@"; do
  root=$roots/$suite log=$roots/$suite.log
  try_suite || failed=1
  [[ -n ${KEEP:-} ]] || rm -rf --one-file-system "$root"
done
exit "$failed"
