#!/usr/bin/env bash
# Checks the models of the hand-off (tests/model) with Spin: every rule of the protocol holds, and
# with one removed Spin finds what then goes wrong. tools/model.sh --help says how.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in -h | --help) ;; *) tools/setup.sh ;; esac
exec python3 tests/model/model.py "$@"
