#!/usr/bin/env bash
# Runs the mutations of tests/mutation: each one is a fault put into the protocol's code, and the tests
# that are named for it must fail. Prints which test killed it, or that it survived.
#
#   tools/mutate.sh                    all of them, some twenty minutes after the build
#   tools/mutate.sh NAME...            these; a name may hold *
#   tools/mutate.sh --list             their names, and what goes wrong
#
# All are compiled into one build, of a copy of the tree in .mutate/ (kept, so that the next build is
# short); JETMON_MUTATION chooses at run time. Exit 0: all killed, or argued; 1: one survived; 2: it
# could not be found out, as when a test fails without any mutation.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; }

case ${1:-} in
  -h | --help) usage; exit 0 ;;
  --list) ;;
  -*) echo "tools/mutate.sh: unknown option $1; see --help" >&2; exit 2 ;;
  *) tools/setup.sh ;;
esac
exec python3 tests/mutation/run.py "$@"
