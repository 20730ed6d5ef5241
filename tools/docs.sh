#!/usr/bin/env bash
# Writes the documentation that is made from real runs: docs/rollout-api.md. It builds the programs,
# tells the story of tests/lab/api_docs/ with real processes, about half a minute, and writes what was
# asked and answered. The test //tests/lab:api_docs_test fails while the page says anything else.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
  "") ;;
  -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
  *) echo "tools/docs.sh: unknown option $1; see --help" >&2; exit 2 ;;
esac
tools/setup.sh
bazel build --disk_cache="${XDG_CACHE_HOME:-$HOME/.cache}/jetmon-bazel" --noshow_progress --color=no \
  //tests/lab:programs //proto:jetmon_protoset
JETMON_UPDATE_DOCS=1 JETMON_BIN=bazel-bin exec /usr/bin/python3 tests/lab/unittest_main.py \
  tests/lab/api_docs_test.py
