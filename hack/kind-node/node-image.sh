# shellcheck shell=bash disable=SC2034 # its variables are read by what sources it
# The image of a kind node, from Debian's packages and Go modules, as kind's images/base/Dockerfile and `kind build node-image` make theirs.
# To be sourced after common.sh, engine.sh and binaries.sh.

NODE_PACKAGES=ca-certificates,systemd,systemd-sysv,iptables,iproute2,conntrack,ethtool,util-linux,mount,kmod,procps,libseccomp2,jq,runc
NODE_REPOSITORY=exchange-kernel-node
POD_SUBNET=10.244.0.0/16

# find_node_image: sets NODE_IMAGE, and NODE_IMAGE_BUILT if it is not kind's own.
find_node_image() {
  local published
  NODE_IMAGE_BUILT=''
  if [ -n "${EXCHANGE_KERNEL_NODE_IMAGE-}" ] && [ "$EXCHANGE_KERNEL_NODE_IMAGE" != build ]; then
    NODE_IMAGE=$EXCHANGE_KERNEL_NODE_IMAGE
    return 0
  fi
  find_go
  KIND_SOURCE=$(cd / && "$GO" mod download -json "sigs.k8s.io/kind@$KIND_VERSION" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  published=$(sed -n 's/^const Image = "\(.*\)"$/\1/p' "$KIND_SOURCE/pkg/apis/config/defaults/image.go")
  CGROUPS=$(docker info --format '{{.CgroupVersion}}')
  # shellcheck disable=SC2153 # ROOT is common.sh's
  NODE_IMAGE=$NODE_REPOSITORY:$(key "$NODE_PACKAGES" "$SUITE" "$CGROUPS" "$KIND_VERSION" "$(link_flags)" \
    "$ROOT"/hack/controlplane/{go.mod,go.sum,node} "$ROOT"/hack/kind-node/{containerd,coredns,pause,node-image.sh})
  if [ "${EXCHANGE_KERNEL_NODE_IMAGE-}" != build ] && { image_present "$published" || { ! image_present "$NODE_IMAGE" && pull "$published"; }; }; then
    NODE_IMAGE=$published
    return 0
  fi
  NODE_IMAGE_BUILT=yes
  find_node_programs
  image_present "$NODE_IMAGE" || locked node-image make_node_image
}

make_node_image() {
  if image_present "$NODE_IMAGE"; then return 0; fi
  debian_root "node image" "$NODE_PACKAGES"
  step "node image: root" node_root "$SCRATCH/node"
  step "node image: the control plane's images" control_plane_images "$SCRATCH/node" "$SCRATCH/k8s"
  step "node image: preloaded" preload "$SCRATCH/node"
}

node_root() {
  local root=$1 files=$KIND_SOURCE/images/base/files
  mkdir "$root"
  tar -C "$root" -xf "$DEBIAN"

  # what kind's Dockerfile copies (a module's files are read-only, so modes are set here)
  install -d "$root"/kind/{bin,manifests} "$root"/etc/{containerd,systemd/system/kubelet.service.d,kubernetes/manifests,cni/net.d} "$root/opt/cni/bin"
  install -m 755 "$files"/usr/local/bin/* "$root/usr/local/bin/"
  install -m 755 "$files"/kind/bin/* "$root/kind/bin/"
  install -m 644 "$files/etc/containerd/config.toml" "$root/etc/containerd/"
  install -m 644 "$files/etc/default/kubelet" "$root/etc/default/"
  install -m 644 "$files"/etc/sysctl.d/* "$root/etc/sysctl.d/"
  install -m 644 "$files"/etc/systemd/system/*.{service,slice} "$root/etc/systemd/system/"
  install -m 644 "$files"/etc/systemd/system/kubelet.service.d/* "$root/etc/systemd/system/kubelet.service.d/"
  install -m 755 "$CONTAINERD"/{containerd,ctr,containerd-shim-runc-v2} "$root/usr/local/bin/"
  install -m 755 "$CONTAINERD"/cni/* "$root/opt/cni/bin/"
  install -m 755 "$K8S_NODE/k8s-node" "$root/usr/local/bin/"
  local program
  for program in kubelet kubeadm kubectl; do ln -s /usr/local/bin/k8s-node "$root/usr/bin/$program"; done
  ln -s /usr/sbin/runc "$root/usr/local/sbin/runc"

  # what it runs
  find "$root/lib/systemd/system/sysinit.target.wants/" -name systemd-tmpfiles-setup.service -delete
  rm -f "$root"/{lib,etc}/systemd/system/multi-user.target.wants/* "$root"/lib/systemd/system/{local-fs,basic}.target.wants/* \
    "$root"/etc/systemd/system/*.wants/* "$root"/lib/systemd/system/sockets.target.wants/*{udev,initctl}*
  echo 'ReadKMsg=no' >>"$root/etc/systemd/journald.conf"
  chroot "$root" systemctl enable kubelet.service containerd.service undo-mount-hacks.service
  chroot "$root" systemctl mask systemd-binfmt.service
  "$root/usr/local/bin/ctr" oci spec |
    jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' >"$root/etc/containerd/cri-base.json"

  # what `kind build node-image` adds
  printf '%s' "$KUBERNETES_VERSION" >"$root/kind/version" # without a newline: kind compares it as it is
  sed -i -e "s#sandbox_image = .*#sandbox_image = \"$(image_of pause)\"#" \
    -e 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$root/etc/containerd/config.toml" # without CAP_SYS_RESOURCE a score cannot go down
  cat >"$root/kind/manifests/default-storage.yaml" <<'YAML'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: standard
  annotations:
    storageclass.kubernetes.io/is-default-class: "true"
provisioner: kubernetes.io/host-path
YAML
  # kind.yaml disables the default network, whose image only a registry has; this one is enough for a single node
  cat >"$root/etc/cni/net.d/10-ptp.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipMasq": true, "mtu": 1500,
   "ipam": {"type": "host-local", "dataDir": "/run/cni-ipam-state", "ranges": [[{"subnet": "${POD_SUBNET%/*}/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
}

# The name that kubeadm gives the image of a program.
image_of() { "$K8S_NODE/k8s-node" kubeadm config images list --kubernetes-version "$KUBERNETES_VERSION" | grep "/$1:"; }

# One image has all of Kubernetes' programs: kubeadm's manifests say which one to run.
control_plane_images() {
  local node=$1 root=$2 program
  shared_root "$node" "$root"
  tar -C "$root" -c . | docker import --change 'ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$(image_of kube-apiserver)"
  for program in kube-controller-manager kube-scheduler kube-proxy etcd; do
    docker tag "$(image_of kube-apiserver)" "$(image_of "$program")"
  done
  tar -C "$COREDNS" -c coredns | docker import --change 'ENTRYPOINT ["/coredns"]' - "$(image_of coredns)"
  tar -C "$PAUSE" -c pause | docker import --change 'ENTRYPOINT ["/pause"]' - "$(image_of pause)"
}

# A root with the multi-call binary, and iptables for kube-proxy.
shared_root() {
  local node=$1 root=$2 program save extensions
  mkdir -p "$root"/{etc/ssl/certs,tmp,run,var/lib,usr/bin,usr/sbin,usr/lib,usr/lib64,usr/local/bin}
  ln -s usr/bin usr/sbin usr/lib usr/lib64 "$root/"
  cp -L "$node/bin/sh" "$root/usr/bin/sh"
  cp -L "$node"/usr/sbin/{xtables-nft-multi,conntrack} "$root/usr/sbin/"
  extensions=$(cd "$node" && echo usr/lib/*/xtables)
  mkdir -p "$root/$(dirname "$extensions")"
  cp -a "$node/$extensions" "$root/$extensions"
  (cd "$node" && find usr/sbin/xtables-nft-multi usr/sbin/conntrack bin/sh "$extensions" -name '*.so' -o -type f) |
    while read -r program; do chroot "$node" ldd "/$program" 2>/dev/null || true; done | grep -o '/[^ ]*' | grep -v ':$' | sort -u |
    while read -r program; do
      mkdir -p "$root$(dirname "$program")"
      cp -L "$node$program" "$root$program"
    done
  for program in iptables ip6tables; do
    for save in '' -save -restore; do ln -s xtables-nft-multi "$root/usr/sbin/$program$save"; done
  done
  cp "$K8S_NODE/k8s-node" "$root/usr/local/bin/"
  for program in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubectl; do ln -s k8s-node "$root/usr/local/bin/$program"; done
  cp -L "$node/etc/ssl/certs/ca-certificates.crt" "$root/etc/ssl/certs/"
  cp -a "$node"/etc/{protocols,ethertypes} "$root/etc/" 2>/dev/null || true
  echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
}

# The control plane's images go into the node's own containerd, by running it in a container of the node's root.
preload() {
  local root=$1 container images change=(--change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' --change 'ENV container=docker')
  if [ "$CGROUPS" = 1 ]; then # keep the node's systemd off a hybrid machine's "unified" hierarchy
    change+=(--change 'ENV SYSTEMD_PROC_CMDLINE="systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1"')
  fi
  mapfile -t images < <("$K8S_NODE/k8s-node" kubeadm config images list --kubernetes-version "$KUBERNETES_VERSION")
  tar -C "$root" --one-file-system --numeric-owner -c . | docker import - "$NODE_REPOSITORY:root"
  container=$(docker run --detach --entrypoint sleep --stop-signal SIGRTMIN+3 --security-opt seccomp=unconfined --network none --label exchange-kernel "$NODE_REPOSITORY:root" infinity)
  AT_EXIT+=("docker rm --force --volumes $container >/dev/null 2>&1")
  docker exec --detach "$container" containerd
  docker exec "$container" sh -c 'for i in $(seq 100); do ctr version >/dev/null 2>&1 && exit; sleep 0.2; done; exit 1'
  docker save "${images[@]}" | docker exec --interactive "$container" \
    ctr --namespace=k8s.io images import --label=io.cri-containerd.pinned=pinned --all-platforms --no-unpack --digests - >/dev/null
  docker exec "$container" pkill containerd
  sleep 1
  docker commit "${change[@]}" "$container" "$NODE_IMAGE"
  docker rm --force --volumes "$container"
  docker image rm "${images[@]}" "$NODE_REPOSITORY:root"
  # node images made from what is no longer here
  docker image ls --quiet --filter "reference=$NODE_REPOSITORY" --filter "before=$NODE_IMAGE" | sort -u | xargs --no-run-if-empty docker image rm --force
}
