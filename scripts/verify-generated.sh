#!/usr/bin/env bash
# Generates all code again and fails when that changes anything. The fresh code is left in place. It
# compares with the files as they are, not as they are committed, so it may run before a commit.
set -euo pipefail
cd "$(dirname "$0")/.."

# snapshot copies all generated Go files into a directory.
snapshot() {
  grep -rlE --include='*.go' --exclude-dir=node_modules '^// Code generated .* DO NOT EDIT\.$' . |
    while read -r file; do
      mkdir -p "$1/$(dirname "$file")"
      cp "$file" "$1/$file"
    done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/before" "$work/after"
snapshot "$work/before"
go generate ./...
snapshot "$work/after"
if ! diff -ru "$work/before" "$work/after"; then
  echo "Generated code was stale: commit what \"make generate\" has now written." >&2
  exit 1
fi
