#!/usr/bin/env bash
# Runs a bench: what the product does, timed against the same work done by a peer in the same run.
# Benches are no part of the tests. docs/performance.md has the figures.
#
#   tools/bench.sh store                    a million sites in SQLite and MariaDB, about 7 minutes
#   tools/bench.sh store --json FILE        and the figures as one flat object
#   tools/bench.sh store --rows 100000 --rounds 1 --engines sqlite    quicker
#   tools/bench.sh handoff                  10,000 sites given to a Monitor and back, with real
#                                           processes, on SQLite and MariaDB, about 12 minutes
#   tools/bench.sh handoff --rounds 1 --calls 20 --smokes 1 --engines sqlite   quicker
#   tools/bench.sh probe                    what a check costs: nginx asked by the probe engine, wrk,
#                                           a checker in Go and blackbox_exporter, about 4 minutes;
#                                           installs these four (tools/setup.sh --bench)
#   tools/bench.sh probe --parts http --rounds 1 --seconds 1    quicker
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; }

needs=()
case ${1:-} in
  store) targets=(//tests/bench:store_bench //tests/bench:store_peer) ;;
  handoff)
    targets=(//tests/bench:handoff_peer //tests/lab:fixture //cli:jetmon2
      //controlplane:jetmon-controlplane //monitor:jetmon-monitor)
    ;;
  probe) targets=(//tests/bench:probe_bench) needs=(--bench) ;;
  -h | --help) usage; exit 0 ;;
  *) echo "tools/bench.sh: say which bench; see --help" >&2; exit 2 ;;
esac
bench=$1
shift
tools/setup.sh "${needs[@]}"
bazel build --config=opt --disk_cache="${XDG_CACHE_HOME:-$HOME/.cache}/jetmon-bazel" \
  --noshow_progress --color=no "${targets[@]}"
# Not bazel-bin: another build that runs meanwhile would turn it to programs that are not optimised.
programs=$(bazel info --config=opt --color=no bazel-bin 2>/dev/null)
exec /usr/bin/python3 "tests/bench/${bench}_bench.py" "$programs/tests/bench" "$@"
