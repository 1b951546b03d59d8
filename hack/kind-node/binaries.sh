# shellcheck shell=bash
# Every program that a cluster here needs, built from Go modules once per content: kind and helm for the machine, the rest for the node image. To be sourced after common.sh.

KIND_VERSION=v0.33.0
HELM_VERSION=v4.2.3
KUBERNETES_VERSION=$(sed -n 's/^\tk8s\.io\/kubernetes //p' "$ROOT/hack/controlplane/go.mod")

find_kind() { built KIND "$KIND_VERSION" go_install "sigs.k8s.io/kind@$KIND_VERSION"; }

# find_helm: sets HELM to the one on PATH, else to one built here.
find_helm() {
  HELM=$(command -v helm || true)
  [ -z "$HELM" ] || return 0
  built HELM "$HELM_VERSION" go_install "helm.sh/helm/v4/cmd/helm@$HELM_VERSION"
  HELM=$HELM/helm
}

# find_node_programs: sets K8S_NODE, CONTAINERD, COREDNS and PAUSE.
find_node_programs() {
  local here=$ROOT/hack/kind-node control=$ROOT/hack/controlplane
  built K8S_NODE "$(key "$control/go.mod" "$control/go.sum" "$control/node" "$(link_flags)")" build_k8s_node "$control"
  built CONTAINERD "$(key "$here/containerd" "$(declare -f build_containerd)")" build_containerd "$here/containerd"
  built COREDNS "$(key "$here/coredns")" build_main "$here/coredns"
  built PAUSE "$(key "$here/pause")" build_main "$here/pause"
}

# What `kubectl version` and the API server's /version say; kubeadm compares them with the version it is asked for.
link_flags() {
  local package minor=${KUBERNETES_VERSION#v1.} flags='-s -w'
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*} -X $package.gitCommit=exchange-kernel"
    flags+=" -X $package.gitTreeState=archive -X $package.buildDate=2026-01-01T00:00:00Z"
  done
  echo "$flags"
}

build_k8s_node() {
  "$GO" build -C "$1" -trimpath -ldflags "$(link_flags)" -o "$2/k8s-node" ./node
  ln -s k8s-node "$2/kubectl"
}

build_containerd() {
  local containerd=github.com/containerd/containerd/v2 cni=github.com/containernetworking/plugins/plugins version
  version=$("$GO" list -C "$1" -m -f '{{.Version}}' "$containerd")
  "$GO" build -C "$1" -trimpath -tags 'no_aufs no_zfs no_btrfs no_devmapper' -ldflags "-s -w -X $containerd/version.Version=$version" -o "$2/" \
    "$containerd"/cmd/{containerd,ctr,containerd-shim-runc-v2}
  mkdir "$2/cni"
  "$GO" build -C "$1" -trimpath -ldflags '-s -w' -o "$2/cni/" "$cni"/{ipam/host-local,main/loopback,main/ptp,meta/portmap}
}

build_main() {
  "$GO" build -C "$1" -trimpath -ldflags '-s -w' -o "$2/" .
}
