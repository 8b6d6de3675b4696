#!/usr/bin/env bash
# The whole way, from a file of interactions to recommendations over the wire. `make demo` runs it.
#
#   DATA=path   your interactions (a file or a folder, see `martlet train --help`) instead of invented ones
#   KEEP=1      the node goes on serving until Ctrl-C
#   DEMO=path   the folder to work in (default: demo)
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/lib.sh

folder=${DEMO:-demo}
data=${DATA:-}
martlet=.build/release/martlet

if [ -n "$data" ] && [ ! -e "$data" ]; then
    echo "demo: DATA=$data does not exist; give a file or a folder with interactions" >&2
    exit 1
fi

node_pid=''
cleanup() {
    local status=$?
    trap - EXIT INT TERM
    stop_node >/dev/null 2>&1 || true
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

heading "Tools"
Scripts/deps.sh build

heading "Build (release; the first time takes some minutes)"
# Flags are words.
# shellcheck disable=SC2086
swift build -c release --product martlet ${SWIFT_BUILD_FLAGS:-}

mkdir -p "$folder"
if [ -z "$data" ]; then
    heading "Data: invented films, people and ratings"
    data=$folder/sample
    "$martlet" sample --output "$data" --replace
    data=$data/ratings.csv
fi

heading "Train, evaluate on what each user did last, and fit a ranker of the candidates"
"$martlet" train --input "$data" --output "$folder/bundle" --replace --name demo --evaluate leave-last-out --ranker deepfm --force-ranker

heading "Serve"
rpc_port=$(free_port 7400)
http_port=$(free_port 7480)
rm -rf "$folder/events"
start_node "$folder/node.log" --bundle "$folder/bundle" --listen "127.0.0.1:$rpc_port" --http "127.0.0.1:$http_port" \
    --set events.directory="$folder/events"
echo "calls are answered at $node, metrics at http://$node_http/metrics (log: $folder/node.log)"

known=$("$martlet" model users "$folder/bundle" --order longest -n 1 | cut -f1)
new=$("$martlet" model users "$folder/bundle" --order shortest -n 1 | cut -f1)
unknown="nobody-$$"

heading "A known user, $known; had lately:"
"$martlet" model users "$folder/bundle" --user "$known" -n 5
"$martlet" recommend --node "$node" --user "$known" -k 5 --explain
heading "A new user, $new; had only:"
"$martlet" model users "$folder/bundle" --user "$new" -n 5
"$martlet" recommend --node "$node" --user "$new" -k 5 --explain
heading "An unknown user, $unknown"
"$martlet" recommend --node "$node" --user "$unknown" -k 5 --explain

liked=$("$martlet" model users "$folder/bundle" --user "$known" -n 2 | cut -f1)
heading "The unknown user clicks two items: the next recommendations are its own"
events=$(for item in $liked; do echo "{\"user\": \"$unknown\", \"item\": \"$item\", \"type\": \"click\"}"; done)
echo "$events"
echo "$events" | "$martlet" ingest - --node "$node"
"$martlet" recommend --node "$node" --user "$unknown" -k 5 --explain

if [ -z "${DATA:-}" ]; then
    heading "The same, but only films of these languages since 1990"
    "$martlet" recommend --node "$node" --user "$known" -k 5 --where 'language=French|Japanese' --where 'year>=1990'
fi

item=$("$martlet" model users "$folder/bundle" --user "$known" -n 1 | cut -f1)
heading "Items like $item"
"$martlet" similar --node "$node" --item "$item" -k 5
"$martlet" health --node "$node"

heading "Metrics: http://$node_http/metrics   status: http://$node_http/status"
if [ "${KEEP:-}" = 1 ]; then
    echo "The node goes on serving; Ctrl-C stops it. Try: $martlet recommend --node $node --user $known --explain"
    trap 'exit 0' INT
    wait "$node_pid"
else
    stop_node
    echo "The node has stopped. KEEP=1 make demo keeps it; DATA=path make demo takes your data."
fi
