# shellcheck shell=bash disable=SC2034 # its variables are read by what sources it
# A container engine: the one that answers here, else Debian's dockerd on a socket of its own with its data in the cache. To be sourced after common.sh.

ENGINE=${EXCHANGE_KERNEL_RUN:-/run/exchange-kernel}/engine # socket, pid, log and what to restore; short, for a socket's path may have 107 bytes
NO_ENGINE="no container engine answers: install Docker (on Debian: apt-get install docker.io) and start it, or run this as root on Debian, and one is started and stopped again"

answers() { have docker && timeout 20 docker info >/dev/null 2>&1; }
ours() { [ "${DOCKER_HOST-}" = "unix://$ENGINE/docker.sock" ]; }

# find_engine: points docker and kind to an engine that answers; fails if there is none. Ours first: what `up` put there, `down` must find there.
find_engine() {
  if [ -S "$ENGINE/docker.sock" ] && DOCKER_HOST=unix://$ENGINE/docker.sock answers; then
    export DOCKER_HOST=unix://$ENGINE/docker.sock
    unset DOCKER_CONTEXT
    return 0
  fi
  answers
}

# use_engine: the same, and starts one where there is none.
use_engine() {
  if find_engine; then
    STARTED=''
    return 0
  fi
  is_root || die "$NO_ENGINE"
  need dockerd "$NO_ENGINE" docker.io docker-cli docker-buildx containerd runc iptables iproute2
  need iptables "dockerd needs iptables: install it (apt-get install iptables)" iptables
  have docker || die "dockerd is here but no docker client: install it (on Debian: apt-get install docker-cli)"
  export DOCKER_HOST=unix://$ENGINE/docker.sock
  unset DOCKER_CONTEXT
  locked engine start_engine
}

start_engine() {
  answers && return 0 # started by the process we waited for
  STARTED=yes
  step "starting dockerd" run_dockerd
}

run_dockerd() {
  local bounding runtime=() i
  mkdir -p "$ENGINE" "$CACHE/engine"
  echo '{}' >"$ENGINE/daemon.json" # not /etc/docker's
  remember_network
  # CAP_SYS_RESOURCE (24) may be outside of the bounding set, as in a nested sandbox; then runc must not be asked for it
  bounding=$(sed -n 's/^CapBnd:\t//p' /proc/self/status)
  if ! ((0x$bounding >> 24 & 1)); then
    runtime=(--add-runtime "within-bounds=$ROOT/hack/kind-node/runc-within-bounds" --default-runtime within-bounds)
  fi
  setsid nohup dockerd --config-file "$ENGINE/daemon.json" --host "$DOCKER_HOST" --pidfile "$ENGINE/docker.pid" \
    --exec-root "$ENGINE/exec" --data-root "$CACHE/engine" "${runtime[@]}" >"$ENGINE/dockerd.log" 2>&1 </dev/null 3>&- {LOCK}>&- &
  for ((i = 0; i < 150; i++)); do
    answers && return 0
    kill -0 $! 2>/dev/null || break
    sleep 0.2
  done
  tail -n 30 "$ENGINE/dockerd.log"
  return 1
}

# stop_engine: if it is ours and nobody's containers run in it.
stop_engine() {
  ours || return 0
  locked engine stop_idle_engine
}

stop_idle_engine() {
  if [ -n "$(docker ps --quiet)" ]; then
    say "dockerd goes on: other containers run in it"
    return 0
  fi
  step "stopping dockerd" halt_dockerd
}

halt_dockerd() {
  local pid i
  docker container prune --force
  docker network prune --force
  docker volume prune --force
  docker image prune --force
  pid=$(cat "$ENGINE/docker.pid")
  kill "$pid"
  for ((i = 0; i < 150; i++)); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.2
  done
  kill -KILL "$pid" 2>/dev/null || true
  restore_network
  rm_cgroups
  rm -rf --one-file-system "$ENGINE"
  unset DOCKER_HOST
}

# dockerd leaves its bridge, its chains, a closed FORWARD policy and ip_forward=1 behind. What was there before it is kept; the rest goes.
bridges() {
  local bridge
  for bridge in /sys/class/net/*/bridge; do
    if [ -d "$bridge" ]; then basename "${bridge%/bridge}"; fi
  done
}

remember_network() {
  local tables
  bridges >"$ENGINE/bridges"
  cat /proc/sys/net/ipv4/ip_forward >"$ENGINE/ip_forward"
  for tables in iptables ip6tables; do
    "$tables" -S FORWARD 2>/dev/null | sed -n 1p >"$ENGINE/$tables.policy" || true
    "$tables-save" 2>/dev/null | grep -c '^:DOCKER' >"$ENGINE/$tables.chains" || true
  done
}

restore_network() {
  local bridge tables table rule chain
  bridges | grep -vxFf "$ENGINE/bridges" | grep -xE 'docker0|br-[0-9a-f]{12}' | while read -r bridge; do
    ip link delete "$bridge"
  done || true
  cat "$ENGINE/ip_forward" >/proc/sys/net/ipv4/ip_forward
  for tables in iptables ip6tables; do
    [ "$(cat "$ENGINE/$tables.chains")" = 0 ] || continue # another Docker's: not ours to remove
    for table in filter nat raw; do
      "$tables" -t "$table" -S 2>/dev/null | grep -E '^-A .*(DOCKER|docker0|br-[0-9a-f]{12})' | while read -r rule; do
        xargs "$tables" -t "$table" -D <<<"${rule#-A }"
      done || true
      "$tables" -t "$table" -S 2>/dev/null | sed -n 's/^-N \(DOCKER.*\)/\1/p' >"$SCRATCH/chains"
      while read -r chain; do "$tables" -t "$table" -F "$chain"; done <"$SCRATCH/chains"
      while read -r chain; do "$tables" -t "$table" -X "$chain"; done <"$SCRATCH/chains"
    done
    if [ -s "$ENGINE/$tables.policy" ]; then xargs "$tables" <"$ENGINE/$tables.policy"; fi
  done
}

# The empty cgroups of containers that are gone.
rm_cgroups() { find /sys/fs/cgroup -depth -type d -path '*/docker*' -exec rmdir {} + 2>/dev/null || true; }

# image_present IMAGE
image_present() { docker image inspect "$1" >/dev/null 2>&1; }

# pull IMAGE: true once it is here. Gives up after 20 s if the registry does not even know it by then, and after 10 min in any case.
pull() {
  local image=$1 log=$SCRATCH/pull.log pid started=$SECONDS
  image_present "$image" && return 0
  docker pull "$image" >"$log" 2>&1 </dev/null &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - started > 600)) || { ((SECONDS - started > 20)) && ! grep -q 'Pulling from' "$log"; }; then
      kill "$pid" 2>/dev/null || true
    fi
  done
  wait "$pid" && return 0
  say "$image cannot be pulled here"
  return 1
}
