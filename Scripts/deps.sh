#!/usr/bin/env bash
# Installs the Debian packages that Martlet needs and that are missing; says what it does. Safe to run again.
#
#   Scripts/deps.sh build    to build and run (default)
#   Scripts/deps.sh test     also what some tests and checks need; they are skipped, by name, where it is missing
#   Scripts/deps.sh check    installs nothing; exits 1 and says what is missing to build
set -euo pipefail

swift_minimum=6.2
build_packages=(libprotobuf-c-dev libjemalloc-dev libhiredis-dev zlib1g-dev pkg-config)
test_packages=(protobuf-c-compiler protobuf-compiler prometheus redis-server python3 python3-venv libgomp1 curl)

say() { echo "deps: $*"; }
fail() { echo "deps: $*" >&2; exit 1; }

case "${1:-build}" in
    build | check) wanted=("${build_packages[@]}") ;;
    test) wanted=("${build_packages[@]}" "${test_packages[@]}") ;;
    *) fail "usage: Scripts/deps.sh [build|test|check]" ;;
esac

# Swift: not a Debian package, so it is only checked.
command -v swift >/dev/null \
    || fail "swift is not in PATH. Install Swift $swift_minimum or later (https://www.swift.org/install/linux), then try again."
version=$(swift --version 2>/dev/null | sed -nE 's/.*Swift version ([0-9]+(\.[0-9]+)+).*/\1/p' | head -n 1)
[ -n "$version" ] || fail "swift is in PATH ($(command -v swift)) but does not tell its version; is it broken?"
if [ "$(printf '%s\n%s\n' "$swift_minimum" "$version" | sort -V | head -n 1)" != "$swift_minimum" ]; then
    fail "Swift $version is too old; Martlet needs $swift_minimum or later (https://www.swift.org/install/linux)."
fi

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

if ! command -v apt-get >/dev/null; then
    # Another distribution: what counts is that the compiler finds the libraries.
    missing=()
    for library in libprotobuf-c jemalloc hiredis zlib; do pkg-config --exists "$library" 2>/dev/null || missing+=("$library"); done
    [ "${#missing[@]}" = 0 ] && { say "this is no Debian, but pkg-config finds every library; going on"; exit 0; }
    fail "this is no Debian. Install the development packages of: ${missing[*]} (pkg-config must find them)."
fi

missing=()
for package in "${wanted[@]}"; do installed "$package" || missing+=("$package"); done
if [ "${#missing[@]}" = 0 ]; then
    say "Swift $version and all ${#wanted[@]} Debian packages are here"
    exit 0
fi
[ "${1:-build}" != check ] || fail "missing: ${missing[*]}. \`make deps\` installs them."

as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || fail "missing: ${missing[*]}. Run as root: apt-get install ${missing[*]}"
    as_root=(sudo)
fi

# Debian starts a service as soon as its package is installed. The tests start what they need by themselves, so for
# the time of the installation no service is started: the documented hook for that is policy-rc.d.
hook=/usr/sbin/policy-rc.d
if [ ! -e "$hook" ]; then
    trap '${as_root[@]+"${as_root[@]}"} rm -f "$hook"' EXIT
    printf '#!/bin/sh\nexit 101\n' | ${as_root[@]+"${as_root[@]}"} tee "$hook" >/dev/null
    ${as_root[@]+"${as_root[@]}"} chmod +x "$hook"
fi

say "installing ${missing[*]} with apt-get${as_root[*]:+ (sudo asks for your password)}"
log=$(mktemp)
run_apt() { ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null; }
run_apt update >/dev/null || say "apt-get update failed; trying with the package lists that are here"
run_apt install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 || {
    cat "$log" >&2
    rm -f "$log"
    fail "apt-get could not install ${missing[*]}; its words are above"
}
rm -f "$log"
say "installed ${missing[*]}"
