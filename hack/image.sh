#!/bin/bash
# Builds the operator's image from the working tree. A container engine is started where none answers, and stopped again.
# usage: hack/image.sh        environment: IMAGE (exchange-kernel:dev), BASE_IMAGE (python:3.11-slim where it can be had, else Debian's packages)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source kind-node/common.sh
source kind-node/engine.sh
source base-image/build.sh

IMAGE=${IMAGE:-exchange-kernel:dev}
SLIM=python:3.11-slim

find_base_image() {
  if [ -n "${BASE_IMAGE-}" ]; then
    say "base image: $BASE_IMAGE"
  elif image_present "$SLIM" || { ! image_present "$BASE_IMAGE_MADE" && pull "$SLIM"; }; then
    BASE_IMAGE=$SLIM
  else
    make_base_image
    BASE_IMAGE=$BASE_IMAGE_MADE
  fi
}

# find_builder: sets BUILDER to a docker client that speaks BuildKit, for the Dockerfile mounts secrets.
find_builder() {
  local major
  for BUILDER in docker /usr/bin/docker; do
    have "$BUILDER" || continue
    if "$BUILDER" buildx version >/dev/null 2>&1; then return 0; fi
    major=$("$BUILDER" version --format '{{.Client.Version}}')
    if [ "${major%%.*}" -lt 23 ]; then return 0; fi # older clients have it built in
  done
  die "this docker client has no BuildKit: install its buildx plugin (on Debian: apt-get install docker-buildx)"
}

# How this machine reaches the package index: mounted during the build, in no layer and no history.
pip_secrets() {
  local ca name
  { # a setting of the environment stands before the same one of a file, and wins
    echo '[global]'
    python3 -m pip config list 2>/dev/null | sed -n "s/^[^=]*\.\(index-url\|extra-index-url\|proxy\|trusted-host\)='\(.*\)'$/\1 = \2/p" | awk '!seen[$1]++'
  } >"$SCRATCH/pip.conf"
  ARGUMENTS+=(--secret "id=pip.conf,src=$SCRATCH/pip.conf")
  ca=${PIP_CERT:-${REQUESTS_CA_BUNDLE:-${SSL_CERT_FILE-}}}
  if [ -n "$ca" ]; then ARGUMENTS+=(--secret "id=ca.pem,src=$ca"); fi
  for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do # docker keeps these out of the image by itself
    if [ -n "${!name-}" ]; then ARGUMENTS+=(--build-arg "$name"); fi
  done
}

use_engine
if [ -n "$STARTED" ]; then AT_EXIT+=(stop_engine); fi
find_base_image
find_builder
ARGUMENTS=(--network host --build-arg "BASE_IMAGE=$BASE_IMAGE" --tag "$IMAGE")
pip_secrets
step "image $IMAGE on $BASE_IMAGE" env DOCKER_BUILDKIT=1 "$BUILDER" build --progress plain "${ARGUMENTS[@]}" "$ROOT"
say "$IMAGE: $(($(docker image inspect --format '{{.Size}}' "$IMAGE") / 1000000)) MB"
