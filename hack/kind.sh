#!/bin/bash
# The image, a kind cluster and tests/kind on it; what was started here is stopped again, whatever happens.
# usage: hack/kind.sh [PYTEST ARGUMENT...]     environment: KEEP=1 leaves the cluster running; the variables of hack/kind-node/cluster.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-.venv/bin/python}
export EXCHANGE_KERNEL_CLUSTER=${EXCHANGE_KERNEL_CLUSTER:-exchange-kernel-test}

finish() {
  local code=$?
  trap - EXIT
  if [ -n "${KEEP-}" ]; then
    echo "the cluster is left running; \`hack/kind-node/cluster.sh down\` removes it (EXCHANGE_KERNEL_CLUSTER=$EXCHANGE_KERNEL_CLUSTER)"
  else
    hack/kind-node/cluster.sh down || true
  fi
  exit "$code"
}

hack/kind-node/cluster.sh up
trap finish EXIT
trap 'exit 130' INT TERM
hack/image.sh
hack/kind-node/cluster.sh load exchange-kernel:dev
eval "$(hack/kind-node/cluster.sh env)"
"$python" -u -m pytest tests/kind -v -o timeout=900 "$@"
