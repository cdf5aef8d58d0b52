#!/bin/sh
# Lints openapi.yaml with the Redocly version that package-lock.json pins. That needs Node.js 20.19 or later
# (not 21, nor 22 before 22.12) and npm 10 or later: without them it says so and leaves the check out. With
# them every failure is one of the check.
set -eu
cd "$(dirname "$0")/.."

leave_out() {
  echo "openapi.yaml was NOT linted: $1." >&2
  echo "It needs Node.js >= 20.19 (20.x) or >= 22.12, with npm >= 10: https://nodejs.org" >&2
  exit 0
}

command -v node >/dev/null || leave_out 'there is no node'
command -v npm >/dev/null || leave_out 'there is no npm'
node -e 'const [a, b] = process.versions.node.split(".").map(Number)
  process.exit(a === 20 && b >= 19 || a === 22 && b >= 12 || a > 22 ? 0 : 1)' || leave_out "node is $(node --version)"
npm=$(npm --version)
[ "${npm%%.*}" -ge 10 ] || leave_out "npm is $npm"

export REDOCLY_TELEMETRY=off
[ -x node_modules/.bin/redocly ] || npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
exec node_modules/.bin/redocly lint openapi.yaml
