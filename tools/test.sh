#!/usr/bin/env bash
# Builds and runs the tests, and closes with `N passed, N failed, N skipped` (test cases).
#
#   tools/test.sh                      every test, but those tagged `galera`
#   tools/test.sh --galera             those: the lab's other tests on a cluster of three
#   tools/test.sh --asan               the same under AddressSanitizer and UBSan
#   tools/test.sh --tsan               the concurrent parts under ThreadSanitizer
#   tools/test.sh //store/...          only what matches a Bazel pattern
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; }

configuration=() patterns=() filters=(--test_tag_filters=-galera)
for argument in "$@"; do
  case $argument in
    --asan) configuration=(--config=asan) ;;
    --tsan)
      configuration=(--config=tsan
        --test_env=TSAN_OPTIONS=halt_on_error=1:ignore_noninstrumented_modules=1:suppressions="$PWD"/tools/bazel/sanitizers/tsan.supp)
      filters=(--test_tag_filters=tsan --build_tests_only)
      ;;
    --galera) filters=(--test_tag_filters=galera) ;;
    -h | --help) usage; exit 0 ;;
    -*) echo "tools/test.sh: unknown option $argument; see --help" >&2; exit 2 ;;
    *) patterns+=("$argument") ;;
  esac
done
[ "${#patterns[@]}" -gt 0 ] || patterns=(//...)

tools/setup.sh
events=$(mktemp)
trap 'rm -f "$events"' EXIT
status=0
bazel test --disk_cache="${XDG_CACHE_HOME:-$HOME/.cache}/jetmon-bazel" --nocache_test_results \
  --keep_going --noshow_progress --color=no --build_event_json_file="$events" \
  "${configuration[@]}" "${filters[@]}" -- "${patterns[@]}" || status=$?
# 4: built, but no test matched the pattern.
python3 tools/count_tests.py "$events" "$status"
