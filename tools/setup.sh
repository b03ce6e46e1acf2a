#!/usr/bin/env bash
# Makes a checkout ready: system packages, a Python environment in .venv with `sealift` and the tools of development.
# Idempotent, and quick when nothing is to be done. As root on Debian or Ubuntu it installs what is missing; other
# users get the one line to ask an administrator for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
root() { [ "$(id -u)" -eq 0 ]; }

# Each program that the product looks for, and the Debian package that brings it. `sealift doctor` says what each is for.
wanted=(squashfuse:squashfuse newuidmap:uidmap fuse-overlayfs:fuse-overlayfs mmdebstrap:mmdebstrap)

missing_packages() {
  local pair
  for pair in "${wanted[@]}"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null || printf '%s\n' "${pair#*:}"
  done
}

install_packages() {
  if root && command -v apt-get >/dev/null; then
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  elif command -v apt-get >/dev/null; then
    say "some things will not work until an administrator runs: apt-get install -y $*"
  else
    say "some things will not work until these Debian packages' like are installed: $*"
  fi
}

# Root's environment must be usable by the ordinary users that the tests run as, so its interpreter must not lie in a
# folder that only root may enter.
open_to_all() {
  local path
  path=$(readlink -f "$1")
  while [ "$path" != / ]; do
    path=$(dirname "$path")
    [ -n "$(find "$path" -maxdepth 0 -perm -o=x)" ] || return 1
  done
}

find_python() {
  local candidate
  for candidate in /usr/bin/python3 /usr/bin/python3.1[1-9] /usr/local/bin/python3 python3 python3.1{4,3,2,1}; do
    candidate=$(command -v "$candidate" 2>/dev/null) || continue
    "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    if root && ! open_to_all "$candidate"; then continue; fi
    printf '%s\n' "$candidate"
    return
  done
  return 1
}

mapfile -t missing < <(missing_packages)
[ "${#missing[@]}" -eq 0 ] || install_packages "${missing[@]}"

stamp=.venv/set-up-from
state=$(cat pyproject.toml tools/setup.sh | cksum)
if [ -x .venv/bin/sealift ] && [ "$(cat "$stamp" 2>/dev/null)" = "$state" ] && .venv/bin/python -c '' 2>/dev/null; then
  exit 0
fi

if ! python=$(find_python); then
  install_packages python3 python3-venv
  if ! python=$(find_python); then
    install_packages python3.11 python3.11-venv  # Ubuntu 22.04's own is older, and carries this one beside it
    python=$(find_python) || { say "no Python 3.11 or newer with venv was found"; exit 6; }
  fi
fi

if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  say "making .venv with $python"
  rm -rf .venv
  "$python" -m venv .venv
fi
say "installing sealift and the tools of development into .venv"
pip=(.venv/bin/python -m pip --disable-pip-version-check --quiet)
"${pip[@]}" install --upgrade 'pip>=25.1'  # the first that reads dependency groups
"${pip[@]}" install --group dev --editable .
printf '%s\n' "$state" >"$stamp"
