#!/usr/bin/env bash
# One C library, one Swift door: fails when a C module is imported outside the room that may.
# The tests of that room may look behind the door as well.
#
# CKernels is our own C and not a library. Its door is VectorMath; the graph walk of NearestNeighbors imports it too,
# for what must be inlined into the innermost loop (prefetch, spin lock, ordered keys), and the tests of FactorModels
# compare the dense kernels with their scalar twins.
set -euo pipefail
cd "$(dirname "$0")/.."

# module:room[,room]
doors="CKernels:Sources/VectorMath,Sources/NearestNeighbors,Tests/FactorModelsTests CProtobufC:Sources/Wire CWireMessages:Sources/Wire CJemalloc:Sources/Telemetry
CHiredis:Sources/RemoteCache CZlib:Sources/Training CMalloc:Sources/LiveState CEpoll:Bench/LoadGenerator"

status=0
# Every C module of the manifest must be in the table.
# shellcheck disable=SC2013 # names hold no spaces
for module in $(grep -oE '(name: |systemLibrary\(name: )"C[A-Z][A-Za-z]+"' Package.swift | grep -oE 'C[A-Z][A-Za-z]+' | sort -u); do
    case " $doors " in
        *[[:space:]]"$module":*) ;;
        *) [ "$module" = Catalog ] || { echo "imports: $module has no room in Scripts/check-imports.sh" >&2; status=1; } ;;
    esac
done
for door in $doors; do
    module=${door%%:*}
    rooms=${door#*:}
    files=$(grep -rlE --include='*.swift' "^ *(@[A-Za-z_]+(\([A-Za-z]+\))? )*((public|package|internal|private|fileprivate) )?import $module\$" \
        Sources Bench Tests || true)
    for file in $files; do
        allowed=0
        for room in ${rooms//,/ }; do
            case "$file" in
                "$room"/* | "Tests/$(basename "$room")Tests"/*) allowed=1 ;;
            esac
        done
        [ "$allowed" = 1 ] || { echo "imports: $file imports $module; only $rooms may" >&2; status=1; }
    done
done
[ "$status" = 0 ] && echo "imports: C modules are imported by their rooms only"
exit "$status"
