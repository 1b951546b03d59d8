#!/bin/bash
# A kind cluster for tests: on a container engine that answers, else on one that is started here and stopped again; from kind's published node
# image where it can be pulled, else from one built of Debian's packages and Go modules. ~/.kube/config is never read or written.
set -euo pipefail
CALLED_IN=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
  cat <<'TEXT'
usage: hack/kind-node/cluster.sh COMMAND
  up [--kubeconfig PATH]    create the cluster (or keep the one that is there) and write its kubeconfig
  load IMAGE...             hand images of the engine to the cluster's node
  status                    say what is running and what is cached
  env                       print, for `eval`, where things are: DOCKER_HOST, KUBECTL, KIND, HELM, TEST_KUBECONFIG
  down                      delete the cluster, and stop the engine if it was started here and nothing else runs in it
environment:
  EXCHANGE_KERNEL_CLUSTER      the cluster's name (exchange-kernel)
  EXCHANGE_KERNEL_CACHE        where everything is kept ($XDG_CACHE_HOME/exchange-kernel, ~/.cache/exchange-kernel)
  EXCHANGE_KERNEL_NODE_IMAGE   a node image to use, or `build` to build one even where one could be pulled
  EXCHANGE_KERNEL_GOFLAGS      more flags for Go, as -p=1
TEXT
}

case ${1-} in
  up | load | status | env | down) ;;
  -h | --help | help) usage && exit ;;
  *) usage >&2 && exit 2 ;;
esac

source ./common.sh
source ./engine.sh
source ./binaries.sh
source ./node-image.sh

NAME=${EXCHANGE_KERNEL_CLUSTER:-exchange-kernel}
STATE=$CACHE/kind/$NAME
KUBECONFIG_PATH=$(cat "$STATE/path" 2>/dev/null || echo "$STATE/kubeconfig")
unset KUBECONFIG

up() {
  mkdir -p "$STATE"
  if [ "${1-}" = --kubeconfig ]; then
    KUBECONFIG_PATH=$(cd "$CALLED_IN" && realpath --canonicalize-missing "${2:?--kubeconfig needs a path}")
  elif [ $# -gt 0 ]; then
    usage >&2
    exit 2
  fi
  echo "$KUBECONFIG_PATH" >"$STATE/path"
  use_engine
  # an `up` that fails or is interrupted leaves nothing running (leave's $code)
  # shellcheck disable=SC2016
  if [ -n "$STARTED" ]; then AT_EXIT+=('[ "$code" -eq 0 ] || stop_engine'); fi
  find_kind
  if "$KIND/kind" get clusters 2>/dev/null | grep -x "$NAME" >/dev/null; then
    "$KIND/kind" export kubeconfig --name "$NAME" --kubeconfig "$KUBECONFIG_PATH" >/dev/null 2>&1
    say "cluster $NAME is there already"
  else
    find_node_image
    # shellcheck disable=SC2016
    AT_EXIT+=('[ "$code" -eq 0 ] || "$KIND/kind" delete cluster --name "$NAME" --kubeconfig "$KUBECONFIG_PATH" >/dev/null 2>&1')
    step "cluster $NAME from $NODE_IMAGE" create
  fi
  say "kubeconfig: $KUBECONFIG_PATH"
}

create() {
  if [ -n "$NODE_IMAGE_BUILT" ]; then cp kind.yaml "$SCRATCH/"; else sed '/disableDefaultCNI/d' kind.yaml >"$SCRATCH/kind.yaml"; fi
  "$KIND/kind" create cluster --name "$NAME" --config "$SCRATCH/kind.yaml" --image "$NODE_IMAGE" --kubeconfig "$KUBECONFIG_PATH" --wait 180s
}

load() {
  find_engine || die "there is no cluster: run \`hack/kind-node/cluster.sh up\` first"
  find_kind
  step "loading $*" "$KIND/kind" load docker-image --name "$NAME" "$@"
}

down() {
  if ! find_engine; then
    say "no container engine answers: nothing to delete"
    return 0
  fi
  find_kind
  step "deleting cluster $NAME" "$KIND/kind" delete cluster --name "$NAME" --kubeconfig "$KUBECONFIG_PATH"
  if [ "$KUBECONFIG_PATH" = "$STATE/kubeconfig" ]; then rm -f "$KUBECONFIG_PATH"; fi
  rm -f "$STATE/path"
  stop_engine
}

status() {
  local nodes=''
  if find_engine; then
    if ours; then echo "engine: ours, $DOCKER_HOST"; else echo "engine: the machine's"; fi
    nodes=$(docker ps --filter "label=io.x-k8s.kind.cluster=$NAME" --format '{{.Names}} ({{.Image}}, {{.Status}})')
  else
    echo "engine: none"
  fi
  echo "cluster $NAME: ${nodes:-not there}"
  [ -z "$nodes" ] || echo "kubeconfig: $KUBECONFIG_PATH"
  du -sh "$CACHE"/{bin,debian,engine} 2>/dev/null | sed 's/^/cached: /' || true
}

env_() {
  local kubectl
  find_engine || die "there is no cluster: run \`hack/kind-node/cluster.sh up\` first"
  find_kind
  find_helm
  # one of the cluster's own version where it was built here; the embedded control plane's else
  for kubectl in "$CACHE"/bin/k8s_node-*/kubectl "$CACHE"/controlplane/*/kubectl "$(command -v kubectl)"; do
    [ ! -x "$kubectl" ] || break
  done
  if [ -n "${DOCKER_HOST-}" ]; then printf 'export DOCKER_HOST=%q\n' "$DOCKER_HOST"; fi
  printf 'export KUBECTL=%q KIND=%q HELM=%q TEST_KUBECONFIG=%q\n' "$kubectl" "$KIND/kind" "$HELM" "$KUBECONFIG_PATH"
}

case $1 in
  env) env_ ;;
  *) "$@" ;;
esac
