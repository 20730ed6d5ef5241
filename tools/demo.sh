#!/usr/bin/env bash
# Builds the programs and plays a whole guided rollout and rollback with real processes; closes with
# the judge's verdict, exit 1 if an invariant does not hold.
#
#   tools/demo.sh                      the whole story, about two minutes after the build
#   tools/demo.sh --keep               stop after the forward rollout, leave everything running;
#                                      . .demo/env says where, docs/rollout-api.md what to ask
#   tools/demo.sh --stop               end what --keep left running
#   --database=sqlite|mariadb|galera   on an embedded database (default), one MariaDB server, or a
#                                      Galera cluster of three, started for the run from Debian's
#                                      packages and ended with it
#   --range MIN-MAX  --sites N  --interval SECONDS     other sizes; see --help
set -euo pipefail
cd "$(dirname "$0")/.."

for argument in "$@"; do
  case $argument in
    --stop | -h | --help) exec /usr/bin/python3 tests/lab/demo.py "$@" ;;
  esac
done
tools/setup.sh
bazel build --disk_cache="${XDG_CACHE_HOME:-$HOME/.cache}/jetmon-bazel" --noshow_progress --color=no \
  //controlplane:jetmon-controlplane //monitor:jetmon-monitor //veriflier:jetmon-veriflier \
  //cli:jetmon2 //tests/lab:fixture //tests/lab:v1_standin
exec /usr/bin/python3 tests/lab/demo.py "$@"
