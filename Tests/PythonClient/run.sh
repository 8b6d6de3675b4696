#!/usr/bin/env bash
# Runs check_node.py against a running node: Tests/PythonClient/run.sh HOST:PORT [--user U]... [--load PATH]
# With --prepare it makes the environment and stops.
#
# Makes a throw-away environment with the `protobuf` package of PyPI and protoc's Python classes, and keeps it for the
# next run in MARTLET_PYTHON_VENV (default: .venv/python-client under the repository, which git ignores).
# Exit 77: python3, protoc or the package index is missing.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
venv="${MARTLET_PYTHON_VENV:-$root/.venv/python-client}"
missing() { echo "Tests/PythonClient/run.sh: $1" >&2; exit 77; }

[ $# -ge 1 ] || { echo "usage: Tests/PythonClient/run.sh HOST:PORT [--user U]... [--load PATH]" >&2; exit 2; }
command -v python3 >/dev/null || missing "python3 is missing"
command -v protoc >/dev/null || missing "protoc is missing; install it with: apt-get install protobuf-compiler"

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import google.protobuf' 2>/dev/null; then
    rm -rf "$venv"
    python3 -m venv "$venv" >/dev/null || missing "python3 cannot make an environment (apt-get install python3-venv)"
    # Classes that an older protoc makes are understood by the runtimes of its own series.
    series="$(protoc --version | sed -E 's/^libprotoc ([0-9]+)\.([0-9]+).*/\1.\2/')"
    case "$series" in
        3.21) wanted="protobuf>=4.21,<5" ;;
        *) wanted="protobuf" ;;
    esac
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$wanted" >/dev/null 2>&1 \
        || missing "the protobuf package cannot be installed from PyPI"
fi

[ "$1" != --prepare ] || exit 0

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
protoc --proto_path="$root/Protos/martlet/v1" --python_out="$work" martlet.proto
PYTHONPATH="$work:$here" PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" "$here/check_node.py" "$@"
