#!/bin/sh
# Lints openapi.yaml with the Redocly version that package-lock.json pins.
set -eu
cd "$(dirname "$0")/.."
export REDOCLY_TELEMETRY=off
[ -x node_modules/.bin/redocly ] || npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
exec node_modules/.bin/redocly lint openapi.yaml
