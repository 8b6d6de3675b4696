# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by the other scripts: words and ports.

if [ -t 1 ]; then bold=$'\e[1m'; plain=$'\e[0m'; else bold=; plain=; fi

heading() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }

# free_port WANTED: prints WANTED, or a free port of the system's choice when that is taken.
free_port() {
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then echo "$1"; else echo 0; fi
}

# start_node LOG FLAG...: starts `martlet serve` in the background and waits until it answers.
# Sets node_pid, node (HOST:PORT) and node_http (HOST:PORT).
start_node() {
    local log=$1
    shift
    "$martlet" serve "$@" >"$log" 2>&1 &
    node_pid=$!
    node='' node_http=''
    for _ in $(seq 1 3000); do
        if ! kill -0 "$node_pid" 2>/dev/null; then
            echo "the node did not start:" >&2
            cat "$log" >&2
            return 1
        fi
        # The addresses stand in the line that is logged when calls are answered.
        node=$(sed -nE 's/.*node\.listen=[^ ]*[^0-9.]([0-9.]+:[0-9]+).*/\1/p' "$log" | head -n 1)
        node_http=$(sed -nE 's/.*node\.http=([^ ]+).*/\1/p' "$log" | head -n 1)
        [ -n "$node" ] && return 0
        sleep 0.1
    done
    echo "the node was not ready within five minutes:" >&2
    cat "$log" >&2
    return 1
}

# stop_node: asks the node to drain and waits for it; returns its exit status.
stop_node() {
    local pid=${node_pid:-}
    node_pid=''
    [ -n "$pid" ] || return 0
    kill -TERM "$pid" 2>/dev/null || true
    wait "$pid"
}
