#!/usr/bin/env bash
# Installs the Debian packages that building, testing and the demo need. Idempotent, and quick and
# silent when there is nothing to do. Run as root. With --bench also what tools/bench.sh probe is
# measured against.
set -euo pipefail

packages=(
  # build
  bazel-bootstrap g++ protobuf-compiler protobuf-compiler-grpc golang-github-gogo-googleapis-dev
  libgrpc++-dev libprotobuf-dev libabsl-dev libgflags-dev libssl-dev libc-ares-dev libsqlite3-dev libmysqlcppconn-dev
  libmariadb-dev
  libcurl4-openssl-dev libboost-dev libcli11-dev libspdlog-dev prometheus-cpp-dev zlib1g-dev
  libgtest-dev libgmock-dev clang-format
  # tests, demo
  python3 python3-grpcio python3-protobuf python3-pymysql python3-xmlrunner curl sqlite3 procps git ca-certificates openssl
  spin gcc mariadb-server mariadb-client mariadb-backup galera-4
)
case ${1:-} in
  "") ;;
  --bench) packages+=(nginx wrk prometheus-blackbox-exporter golang-go) ;;
  *) echo "tools/setup.sh: takes --bench or nothing" >&2; exit 2 ;;
esac

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "tools/setup.sh: run it as root once: it has to install ${missing[*]}" >&2
  exit 2
fi
echo "setup: installing ${#missing[@]} Debian packages" >&2
log=$(mktemp)
# The tests start servers themselves: none is to be started by its package.
policy=/usr/sbin/policy-rc.d
made=()
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  made=("$policy")
fi
trap 'rm -f "$log" "${made[@]}"' EXIT
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1; then
  cat "$log" >&2
  echo "tools/setup.sh: the installation failed, see above" >&2
  exit 1
fi
