#!/usr/bin/env bash
# Generates Sources/CWireMessages from Protos/martlet/v1/martlet.proto with protoc-c.
#
#   Protos/generate.sh            writes the files
#   Protos/generate.sh --check    writes nothing; fails when the committed files are not what protoc-c makes
#
# protoc-c gets a copy of the schema with two changes that leave the wire format as it is:
#   - each `string` is declared as `bytes`, because protobuf-c hands strings out as NUL-terminated text, which loses
#     the length and cuts an ID at an embedded NUL (Sources/Wire checks that strings are UTF-8);
#   - the service is left out, because nothing uses protobuf-c's call stubs.
set -euo pipefail

root="$(cd "$(dirname "$0")/.." && pwd)"
schema="$root/Protos/martlet/v1/martlet.proto"
target="$root/Sources/CWireMessages"

usage() { echo "usage: Protos/generate.sh [--check]" >&2; exit 2; }
check=0
case "${1:-}" in
    "") ;;
    --check) check=1 ;;
    *) usage ;;
esac

if ! command -v protoc-c >/dev/null; then
    echo "Protos/generate.sh: protoc-c is missing; install it with: apt-get install protobuf-c-compiler" >&2
    exit 1
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
sed -E -e '/^service /,/^}/d' -e 's/^( *(repeated )?)string /\1bytes /' "$schema" > "$work/martlet.proto"
protoc-c --proto_path="$work" --c_out="$work" martlet.proto

if [ "$check" = 1 ]; then
    if diff -u "$target/martlet.pb-c.c" "$work/martlet.pb-c.c" \
        && diff -u "$target/include/martlet.pb-c.h" "$work/martlet.pb-c.h"; then
        echo "Sources/CWireMessages is up to date"
    else
        echo "Sources/CWireMessages differs from what $(protoc-c --version | head -1) makes of the schema:" \
            "run Protos/generate.sh and commit the result" >&2
        exit 1
    fi
else
    mkdir -p "$target/include"
    cp "$work/martlet.pb-c.c" "$target/martlet.pb-c.c"
    cp "$work/martlet.pb-c.h" "$target/include/martlet.pb-c.h"
    echo "wrote Sources/CWireMessages/martlet.pb-c.c and include/martlet.pb-c.h"
fi
