#!/usr/bin/env bash
# Runs a fuzz target (tests/fuzz/NAME_fuzz.cc) by libFuzzer, with ASan and UBSan.
#
#   tools/fuzz.sh http_response [SECONDS]   answers: reader, body, verdict; 300 s if not said
#   tools/fuzz.sh url [SECONDS]             URLs, Locations, addresses, target safety
#
# Begins with tests/fuzz/corpus/NAME; what is found on the way is kept in $JETMON_FUZZ_DIR, by default
# ~/.cache/jetmon-fuzz. An input that fails is written there and named: add it to the corpus, which
# `bazel test //tests/fuzz/...` replays.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; }

case ${1:-} in
  http_response | url) name=$1 ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac
seconds=${2:-300}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "tools/fuzz.sh: SECONDS is a number, not \"$seconds\"" >&2; exit 2; }

tools/setup.sh
if ! command -v clang++-14 >/dev/null || [ ! -e /usr/lib/llvm-14/lib/clang ]; then
  [ "$(id -u)" -eq 0 ] || { echo "tools/fuzz.sh: run it as root once: it has to install clang-14" >&2; exit 2; }
  apt-get install -y -qq --no-install-recommends clang-14 libclang-rt-14-dev >/dev/null
fi

work=${JETMON_FUZZ_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/jetmon-fuzz}/$name
mkdir -p "$work/corpus" "$work/found"
clang++-14 -std=c++20 -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
  -fno-sanitize-recover=all -I. -o "$work/fuzz" "tests/fuzz/${name}_fuzz.cc" \
  probe/{body_reader,check,http_reader,ip_address,target_safety,url,verdict}.cc clock/clock.cc \
  -labsl_status -labsl_statusor -labsl_cord -labsl_strings -labsl_throw_delegate -lz
exec "$work/fuzz" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
  -print_final_stats=1 -dict="tests/fuzz/$name.dict" -artifact_prefix="$work/found/" "$work/corpus" \
  "tests/fuzz/corpus/$name"
