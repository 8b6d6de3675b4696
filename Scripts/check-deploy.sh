#!/usr/bin/env bash
# Checks what Deploy/ holds as far as the tools on this machine can; says what it could not check.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

have() { command -v "$1" >/dev/null || { echo "deploy: $1 is missing, $2 not checked"; return 1; }; }

have promtool Deploy/prometheus.yml && promtool check config Deploy/prometheus.yml

if have systemd-analyze Deploy/martlet.service; then
    # The unit with a program and a user that exist here; all else as it is.
    sed -e 's#/usr/bin/martlet#/bin/true#' -e 's#^User=.*#User=daemon#' -e 's#^Group=.*#Group=daemon#' \
        Deploy/martlet.service >"$folder/martlet.service"
    systemd-analyze verify --man=no "$folder/martlet.service"
    echo "deploy: martlet.service is sound"
fi

if have systemd-analyze Deploy/systemd; then
    for unit in martlet-retrain.service martlet-retrain.timer; do
        sed -e 's#/usr/lib/martlet/martlet-retrain#/bin/true#' -e 's#^User=.*#User=daemon#' -e 's#^Group=.*#Group=daemon#' \
            "Deploy/systemd/$unit" >"$folder/$unit"
    done
    systemd-analyze verify --man=no "$folder/martlet-retrain.service" "$folder/martlet-retrain.timer"
    echo "deploy: martlet-retrain.service and .timer are sound"
fi

if have shellcheck Deploy/martlet-retrain; then
    shellcheck Deploy/martlet-retrain
    echo "deploy: martlet-retrain is sound"
else
    sh -n Deploy/martlet-retrain
fi

if docker compose version >/dev/null 2>&1; then
    docker compose -f Deploy/compose.yaml config --quiet
    echo "deploy: compose.yaml is sound"
elif python3 -c 'import yaml' 2>/dev/null; then
    python3 - <<'P'
import yaml
compose = yaml.safe_load(open("Deploy/compose.yaml"))
assert set(compose["services"]) == {"martlet", "prometheus"}
named = {v.split(":")[0] for s in compose["services"].values() for v in s["volumes"] if not v.startswith(".")}
assert named == set(compose["volumes"]), named
P
    echo "deploy: compose.yaml parses and its volumes are declared (docker compose is missing, its schema is not checked)"
else
    echo "deploy: neither docker compose nor a YAML parser is here, compose.yaml not checked"
fi

if command -v hadolint >/dev/null; then
    hadolint --ignore DL3008 Deploy/Dockerfile
    echo "deploy: Dockerfile is sound"
else
    echo "deploy: hadolint is missing, Dockerfile not checked"
fi
