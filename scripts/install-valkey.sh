#!/usr/bin/env bash
# Puts valkey-server into bin, for the tests that need WAITAOF: Redis knows it since 7.2, and Debian 12 has
# 7.0. The package comes from the distribution's own archive, on Debian from its backports too, is checked by
# apt, and is unpacked, not installed. Elsewhere a valkey-server on PATH is taken.
set -euo pipefail
cd "$(dirname "$0")/.."
target=bin/valkey-server
mkdir -p bin

give_up() {
  echo "valkey-server is missing: $1" >&2
  echo "Install Valkey 7.2 or later, so that valkey-server is on PATH (macOS: brew install valkey)." >&2
  exit 1
}

if path=$(command -v valkey-server); then
  ln -sf "$path" "$target"
  exit 0
fi
command -v apt-get >/dev/null || give_up "there is no apt-get here."

# apt works in a directory of its own, so that neither root nor a change to the system is needed.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
apt=(-qq -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User="$(id -un)")

# shellcheck source=/dev/null
. /etc/os-release
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
if [[ $ID == debian && -r $keyring ]]; then
  for suite in "$VERSION_CODENAME" "$VERSION_CODENAME-backports"; do
    echo "deb [signed-by=$keyring] http://deb.debian.org/debian $suite main"
  done >"$work/sources.list"
  apt+=(-o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null)
fi

echo "Fetching valkey-server"
apt-get "${apt[@]}" update
(cd "$work" && apt-get "${apt[@]}" download valkey-tools valkey-server) || give_up "no archive of this system has it."
for package in "$work"/*.deb; do dpkg-deb --extract "$package" "$work/root"; done

# The server is the file that its checking tools are too; it looks at the name it is called by.
install -m 755 "$(readlink -f "$work/root/usr/bin/valkey-server")" "$target"
"$target" --version >/dev/null || { rm -f "$target"; give_up "a library that it needs is not there."; }
