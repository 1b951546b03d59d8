# The operator, its command and the simulated exchange: one image, run as a user that is nobody, with nothing to write to but /tmp.
ARG BASE_IMAGE=python:3.11-slim

# The locks have a hash for everything. pip.conf and ca.pem are the machine's, where it needs them to reach an index (hack/image.sh); neither stays.
FROM ${BASE_IMAGE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PYTHONDONTWRITEBYTECODE=1
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/exchange-kernel
COPY requirements-build.lock requirements-runtime.lock /src/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.pem --mount=type=cache,target=/root/.cache/pip \
    if [ -s /run/secrets/ca.pem ]; then export PIP_CERT=/run/secrets/ca.pem; fi \
 && install='install --quiet --require-hashes --only-binary=:all: --no-compile --requirement' \
 && /opt/build/bin/pip $install /src/requirements-build.lock \
 && /opt/build/bin/pip --python /opt/exchange-kernel/bin/python $install /src/requirements-runtime.lock \
 && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/exchange-kernel/lib

FROM dependencies AS package
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN /opt/build/bin/pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /opt/build/bin/pip --python /opt/exchange-kernel/bin/python install --quiet --no-index --no-deps --no-compile /wheel/*.whl \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/exchange-kernel/lib/python3.*/site-packages/exchange_kernel \
 && mkdir /package && cd /opt/exchange-kernel && cp -a --parents bin/exchange-kernel lib/python3.*/site-packages/exchange_kernel* /package/

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="exchange-kernel" \
      org.opencontainers.image.description="Trading orders as Kubernetes resources" \
      org.opencontainers.image.licenses="Apache-2.0"
# kopf asks for the user's name, so the number alone would not do.
RUN useradd --uid 65532 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin exchange-kernel
# What rarely changes apart from what often does: a new build is a small layer.
COPY --from=dependencies /opt/exchange-kernel /opt/exchange-kernel
COPY --from=package /package /opt/exchange-kernel
ENV PATH=/opt/exchange-kernel/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["exchange-kernel"]
CMD ["--help"]
