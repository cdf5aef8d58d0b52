#!/usr/bin/env bash
# Runs the commands of the README's tour, in their order and in one shell, against a running server, and
# fails unless they answer as the README shows. The server is at localhost:8080 and localhost:9090, or
# at API and ADMIN (host:port).
#
# A block of commands (sh) may be followed by a block of what they print (text). The two are compared
# without white space, IDs, versions, times, cursors and the headers that every answer has. A request
# whose status is not printed (-i) must succeed.
set -euo pipefail
cd "$(dirname "$0")/.."

api=${API:-localhost:8080}
admin=${ADMIN:-localhost:9090}
if ! command -v curl >/dev/null; then
  echo "curl is missing: apt-get install curl" >&2
  exit 1
fi

work=$(mktemp -d)
step=none
finish() {
  local code=$?
  if ((code != 0)); then
    echo "The README's tour failed at its block $step:" >&2
    cat "$work/$step.sh" "$work/stderr" >&2 || true
  fi
  rm -rf "$work"
}
trap finish EXIT

# extract writes the n-th block of commands to n.sh, and the block of text after it to n.text.
extract() {
  awk -v dir="$work" '
    /^<!-- tour -->$/        { tour = 1 }
    /^<!-- end of tour -->$/ { tour = 0 }
    !tour                    { next }
    /^```$/                  { into = ""; next }
    /^```sh$/                { into = sprintf("%s/%02d.sh", dir, ++n); next }
    /^```text$/              { into = sprintf("%s/%02d.text", dir, n); next }
    into != ""               { print > into }
  ' README.md
  sed -i.bak "s#localhost:8080#$api#g; s#localhost:9090#$admin#g" "$work"/*.sh
}

# curl is what the commands call.
curl() {
  local status shown=0 arg
  for arg in "$@"; do
    if [[ $arg == -i ]]; then shown=1; fi
  done
  command curl --silent --show-error --max-time 20 --write-out '%{stderr}%{http_code}\n' "$@" 2>"$work/stderr"
  status=$(tail -n 1 "$work/stderr")
  echo "$status" >>"$work/requests"
  if ((!shown)) && [[ $status != 2* ]]; then
    echo "unexpected status $status of: curl $*" >>"$work/stderr"
    return 1
  fi
}

# shape leaves only what is the same in every run.
shape() {
  tr -d '\r' | sed -E \
    -e '/^(Content-Type|Content-Length|Date|X-Request-Id): /d' \
    -e 's/"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z"/"TIME"/g' \
    -e 's/[0-9]{10,}/NUMBER/g' \
    -e 's/"(node|sequence)":[0-9]+/"\1":N/g' \
    -e 's/"next_cursor":"[^"]*"/"next_cursor":"CURSOR"/g' \
    -e 's/^(zmsg_[^ ]+) .*/\1 N/' | tr -d ' \n'
}

extract
blocks=0
: >"$work/requests"
for file in "$work"/*.sh; do
  step=$(basename "$file" .sh)
  # shellcheck source=/dev/null
  source "$file" >"$work/$step.out"
  if [[ -e $work/$step.text ]] && ! diff <(shape <"$work/$step.text") <(shape <"$work/$step.out") >/dev/null; then
    printf -- '--- the README says\n%s\n--- the server said\n%s\n' "$(cat "$work/$step.text")" "$(cat "$work/$step.out")" >&2
    exit 1
  fi
  blocks=$((blocks + 1))
done
if ((blocks < 2)); then
  echo "README.md has no tour." >&2
  exit 1
fi
echo "The README's tour: $blocks blocks, $(wc -l <"$work/requests") requests, all as printed."
