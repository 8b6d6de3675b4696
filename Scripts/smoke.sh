#!/usr/bin/env bash
# Uses the release commands as a person would, on a small sample: import, train, evaluate, serve, ask, load, scrape, reload, stop.
# Needs .build/release/martlet and martlet-bench, curl and promtool.
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/lib.sh

martlet=.build/release/martlet
bench=.build/release/martlet-bench
folder=$(mktemp -d)
node_pid=''
trap 'stop_node >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT

fail() { echo "smoke: $*" >&2; [ -f "$folder/node.log" ] && tail -n 20 "$folder/node.log" >&2; exit 1; }
# expect WHAT TEXT FILE: the file holds the text.
expect() { grep -qF -- "$2" "$3" || { cat "$3" >&2; fail "$1: expected '$2'"; }; }

heading "smoke: train and evaluate"
"$martlet" sample --output "$folder/sample" --users 300 --items 120 --interactions 6000
"$martlet" train --input "$folder/sample/ratings.csv" --output "$folder/bundle" --factors als,spectral --rank 16 --spectral-rank 16 --iterations 4 --ranker deepfm --ranker-hidden 32,16 --force-ranker
"$martlet" model inspect "$folder/bundle"
"$martlet" evaluate --input "$folder/sample/ratings.csv" --factors als,spectral --rank 16 --spectral-rank 16 --iterations 4 --json >"$folder/report.json"
expect "evaluate --json" '"recall@20"' "$folder/report.json"
if "$martlet" train --input "$folder/sample/ratings.csv" --output "$folder/bundle" --rank 16 2>"$folder/refusal"; then
    fail "a bundle that stands there was overwritten without --replace"
fi
expect "train to a taken place" "--replace" "$folder/refusal"

heading "smoke: configuration"
"$martlet" serve --config Deploy/martlet.example.yaml --check-config
"$martlet" serve --config Deploy/martlet.example.yaml --print-config >"$folder/printed.yaml"
"$martlet" serve --config "$folder/printed.yaml" --check-config >/dev/null
refused() { # refused STATUS TEXT FLAG...: martlet serve ends with the status and says the text
    local wanted=$1 text=$2 status=0
    shift 2
    timeout 300 "$martlet" serve "$@" >"$folder/refusal" 2>&1 || status=$?
    [ "$status" = "$wanted" ] || { cat "$folder/refusal" >&2; fail "martlet serve $*: exit code $status, not $wanted"; }
    expect "martlet serve $*" "$text" "$folder/refusal"
}
refused 78 "There is no bundle to serve"
refused 78 "is not a bundle" --bundle "$folder/nothing"
refused 78 "did you mean 'limits.k_max'?" --bundle "$folder/bundle" --set limits.k_mx=3
refused 78 "is not HOST:PORT" --bundle "$folder/bundle" --listen 7400

heading "smoke: serve"
start_node "$folder/node.log" --bundle "$folder/bundle" --listen 127.0.0.1:0 --http 127.0.0.1:0 --shards 2 --log-level info \
    --set events.directory="$folder/events"
refused 1 "another process has the port" --bundle "$folder/bundle" --listen "$node" --http off
user=$("$martlet" model users "$folder/bundle" -n 1 | cut -f1)
"$martlet" health --node "$node" --wait 5m --timeout 2m
"$martlet" recommend --node "$node" --timeout 2m --user "$user" -k 5 --explain
"$martlet" recommend --node "$node" --timeout 2m --user "$user" -k 5 --json >"$folder/slate.json"
"$martlet" recommend --node "$node" --timeout 2m --user nobody-knows-me -k 5 --json >"$folder/unknown.json"
python3 - "$folder/slate.json" "$folder/unknown.json" <<'P'
import json, sys
slate, unknown = (json.load(open(name)) for name in sys.argv[1:])
assert len(slate["items"]) == 5 and len(unknown["items"]) == 5, (slate, unknown)
P
item=$("$martlet" model users "$folder/bundle" --user "$user" -n 1 | cut -f1)
"$martlet" similar --node "$node" --timeout 2m --item "$item" -k 5

heading "smoke: events"
"$martlet" ingest "$folder/sample/ratings.csv" --type rating --node "$node" --timeout 5m >"$folder/ingested"
expect "ingest" "events stored on disk" "$folder/ingested"
"$martlet" log verify "$folder/events"
"$martlet" log info "$folder/events"
"$martlet" log export "$folder/events" --output "$folder/events.jsonl"
"$martlet" ingest "$folder/events.jsonl" --dry-run
"$martlet" train --from-log "$folder/events" --output "$folder/from-log" --rank 16 --iterations 4

heading "smoke: load"
"$martlet" model users "$folder/bundle" -n 300 | cut -f1 >"$folder/users.txt"
"$bench" load --node "$node" --users-file "$folder/users.txt" --closed 4 --duration 2 --timeout 60s --slo errors=0 --json "$folder/load.json"

heading "smoke: scrape"
[ "$(curl -fsS "http://$node_http/healthz")" = ok ] || fail "/healthz"
[ "$(curl -fsS "http://$node_http/readyz")" = ready ] || fail "/readyz"
curl -fsS "http://$node_http/status" | python3 -m json.tool >/dev/null || fail "/status is not JSON"
curl -fsS "http://$node_http/metrics" >"$folder/metrics"
promtool check metrics <"$folder/metrics" >"$folder/promtool" 2>&1 || { cat "$folder/promtool" >&2; fail "promtool check metrics"; }
[ ! -s "$folder/promtool" ] || { cat "$folder/promtool" >&2; fail "promtool has warnings"; }
grep -E '^martlet_requests_total\{method="Recommend",code="OK"\} [1-9]' "$folder/metrics" >/dev/null || fail "no request was counted"
awk '$1 == "martlet_allocator_allocated_bytes" && $2 > 1000000 { found = 1 } END { exit !found }' "$folder/metrics" \
    || fail "jemalloc holds next to nothing; is it the malloc of this program?"
curl -fsS -H 'Accept: application/openmetrics-text;version=1.0.0' "http://$node_http/metrics" | tail -n 1 | grep -qx '# EOF' || fail "OpenMetrics"

heading "smoke: reload and stop"
kill -HUP "$node_pid"
reloaded=0
for _ in $(seq 1 3000); do
    curl -fsS "http://$node_http/metrics" >"$folder/metrics"
    if grep -qx 'martlet_generation 2' "$folder/metrics"; then reloaded=1 && break; fi
    sleep 0.1
done
[ "$reloaded" = 1 ] || fail "SIGHUP did not load the bundle anew"
"$martlet" recommend --node "$node" --timeout 2m --user "$user" -k 5 >/dev/null
stop_node || fail "the node did not stop cleanly"
echo "smoke: all is well"
