#!/bin/bash
# exchange-kernel-base:debian-12, a Python base image of Debian's packages alone, for machines where python:3.11-slim cannot be pulled.
# For trying and testing: it has no security updates later than Debian's last point release. usage: hack/base-image/build.sh
set -euo pipefail

BASE_IMAGE_MADE=exchange-kernel-base:debian-12
BASE_PACKAGES=ca-certificates,netbase,tzdata,python3,python3-venv

# make_base_image: unless the engine has it already, made from the same things.
make_base_image() {
  local made
  made=$(key "$BASE_PACKAGES" "$ROOT/hack/base-image" "$(declare -f bootstrap)")
  [ "$(docker image inspect --format '{{index .Config.Labels "exchange-kernel.key"}}' "$BASE_IMAGE_MADE" 2>/dev/null)" = "$made" ] || locked base-image import_base_image "$made"
}

import_base_image() {
  debian_root "base image" "$BASE_PACKAGES"
  step "$BASE_IMAGE_MADE" docker import --change "LABEL exchange-kernel.key=$1" --change 'CMD ["python3"]' "$DEBIAN" "$BASE_IMAGE_MADE"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  cd "$(dirname "$0")"
  source ../kind-node/common.sh
  source ../kind-node/engine.sh
  use_engine
  if [ -n "$STARTED" ]; then AT_EXIT+=(stop_engine); fi
  make_base_image
  say "$BASE_IMAGE_MADE is in the engine"
fi
