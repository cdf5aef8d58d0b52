#!/usr/bin/env bash
# Installs what "make run" and "make test" need and the machine lacks: PostgreSQL and redis-server,
# which are then run privately, a C compiler for the race detector, and curl for the README's tour. Where
# that is not possible, it says what to install. No service is left running.
set -euo pipefail

has_postgres() {
  local dir
  if command -v initdb >/dev/null; then return 0; fi
  for dir in /usr/lib/postgresql/*/bin; do
    if [[ -x $dir/initdb && -x $dir/postgres ]]; then return 0; fi
  done
  return 1
}

packages=()
has_postgres || packages+=(postgresql)
command -v redis-server >/dev/null || packages+=(redis-server)
command -v "${CC:-gcc}" >/dev/null || packages+=(gcc libc6-dev)
command -v curl >/dev/null || packages+=(curl)
if ((${#packages[@]} == 0)); then exit 0; fi

give_up() {
  echo "Missing: ${packages[*]}. $1" >&2
  echo "Install with: apt-get install ${packages[*]}   (macOS: brew install postgresql redis)" >&2
  exit 1
}

command -v apt-get >/dev/null || give_up "There is no apt-get here."
sudo=()
if ((EUID != 0)); then
  sudo -n true 2>/dev/null || give_up "Installing them needs root."
  sudo=(sudo -n)
fi

# Packages of services start them when they are installed, unless this file says no (exit code 101).
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap '"${sudo[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
  "${sudo[@]}" chmod 755 "$policy"
fi

echo "Installing ${packages[*]}"
"${sudo[@]}" apt-get -qq update
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get -qq install --yes --no-install-recommends "${packages[@]}" </dev/null >/dev/null

# Nor shall they start at the next boot, where there is a boot.
if [[ -d /run/systemd/system ]]; then
  for package in "${packages[@]}"; do
    case $package in
      postgresql | redis-server) "${sudo[@]}" systemctl --quiet disable "$package" ;;
    esac
  done
fi
