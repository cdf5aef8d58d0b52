#!/usr/bin/env bash
# Runs every fuzz test of the module, one after the other, for FUZZ_TIME each.
set -euo pipefail
cd "$(dirname "$0")/.."

found=0
while IFS=: read -r file name; do
  found=1
  echo "$name in $(dirname "$file")"
  go test -run='^$' -fuzz="^$name\$" -fuzztime="${FUZZ_TIME:-30s}" "$(dirname "$file")"
done < <(grep -rEo --include='*_test.go' --exclude-dir=node_modules '^func Fuzz[A-Za-z0-9_]*' . | sed 's/func //')

if ((!found)); then
  echo "There is no fuzz test." >&2
  exit 1
fi
