# Images of byoi. Targets:
#   agent       the node; llama.cpp, or an engine that runs elsewhere (the default)
#   agent-vllm  the node beside the vLLM of the vLLM project's own image, for NVIDIA GPUs
#   console     the console
#
# Bases are named by tag so that a build gets their fixes. To pin one, give its digest:
#   docker build --build-arg DEBIAN_IMAGE=debian:bookworm-slim@sha256:… .
# A package index of one's own, with its password, comes as a secret and stays out of every layer:
#   docker build --secret id=uv.toml,src=$HOME/.config/uv/uv.toml .
ARG DEBIAN_IMAGE=debian:bookworm-slim
# Of the version that this byoi pins: another one is refused at the node's start.
ARG VLLM_IMAGE=vllm/vllm-openai:v0.32.0

# Everything that is installed, as wheels of ours and a list of hashes for the others.
FROM ${DEBIAN_IMAGE} AS wheels
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv tini \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY .ci/uv-requirements.txt ./
RUN python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r uv-requirements.txt
COPY LICENSE pyproject.toml uv.lock ./
COPY installers/build-requirements.txt ./
COPY wire wire
COPY agent agent
COPY console console
ENV PATH=/opt/uv/bin:$PATH \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=1
RUN --mount=type=cache,id=uv,target=/root/.cache/uv \
    --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml,required=false \
    for product in agent console; do \
        uv export --quiet --frozen --no-dev --no-emit-workspace --no-annotate --no-header \
            --package "byoi-$product" --output-file "/wheels/$product.txt" || exit 1; \
    done \
    && for product in wire agent console; do \
        uv build --quiet --wheel --require-hashes --build-constraints build-requirements.txt \
            --python /usr/bin/python3 --out-dir /wheels "$product" || exit 1; \
    done

# An environment that any of the images can take over as it is: compiled, and never written to.
FROM wheels AS agent-environment
RUN --mount=type=cache,id=uv,target=/root/.cache/uv \
    --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml,required=false \
    uv venv --quiet --python /usr/bin/python3 /opt/byoi \
    && uv pip install --quiet --python /opt/byoi --compile-bytecode --require-hashes -r /wheels/agent.txt \
    && uv pip install --quiet --python /opt/byoi --compile-bytecode --no-index --no-deps \
        /wheels/byoi_wire-*.whl /wheels/byoi_agent-*.whl
COPY installers/docker/installation.py ./
RUN /opt/byoi/bin/python installation.py

FROM wheels AS console-environment
RUN --mount=type=cache,id=uv,target=/root/.cache/uv \
    --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml,required=false \
    uv venv --quiet --python /usr/bin/python3 /opt/byoi \
    && uv pip install --quiet --python /opt/byoi --compile-bytecode --require-hashes -r /wheels/console.txt \
    && uv pip install --quiet --python /opt/byoi --compile-bytecode --no-index --no-deps \
        /wheels/byoi_wire-*.whl /wheels/byoi_console-*.whl

# The same, for the Python that vLLM's image has.
FROM ${VLLM_IMAGE} AS vllm-environment
ARG VLLM_PYTHON=/usr/bin/python3
COPY --from=wheels /opt/uv/bin/uv /usr/local/bin/uv
COPY --from=wheels /wheels /wheels
WORKDIR /src
COPY installers/docker/installation.py ./
ENV UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=1
RUN --mount=type=cache,id=uv,target=/root/.cache/uv \
    --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml,required=false \
    uv venv --quiet --python "$VLLM_PYTHON" /opt/byoi \
    && uv pip install --quiet --python /opt/byoi --compile-bytecode --require-hashes -r /wheels/agent.txt \
    && uv pip install --quiet --python /opt/byoi --compile-bytecode --no-index --no-deps \
        /wheels/byoi_wire-*.whl /wheels/byoi_agent-*.whl \
    && /opt/byoi/bin/python installation.py

FROM ${DEBIAN_IMAGE} AS runtime
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 tini \
    && rm -rf /var/lib/apt/lists/*
ENV PATH=/opt/byoi/bin:$PATH \
    PYTHONUNBUFFERED=1

FROM runtime AS console
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="byoi console" \
      org.opencontainers.image.description="Enrolment, the /v1 gateway, routing and the ledger." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      io.byoi.sbom="byoi-console-$VERSION.cdx.json"
RUN groupadd --gid 10001 byoi \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/byoi-console \
        --shell /usr/sbin/nologin byoi \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/byoi-console
COPY --from=console-environment /opt/byoi /opt/byoi
ENV BYOI_CONSOLE_HOST=0.0.0.0 \
    BYOI_CONSOLE_DATA_DIR=/var/lib/byoi-console \
    HOME=/var/lib/byoi-console
USER 10001:10001
WORKDIR /var/lib/byoi-console
VOLUME ["/var/lib/byoi-console"]
EXPOSE 8700
STOPSIGNAL SIGTERM
# Of the process alone: what a readiness probe asks is /readyz.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ.get('BYOI_CONSOLE_PORT', '8700')}/healthz\", timeout=4)"]
ENTRYPOINT ["/usr/bin/tini", "--", "byoi-console"]
CMD ["serve"]

FROM ${VLLM_IMAGE} AS agent-vllm
ARG VLLM_PYTHON=/usr/bin/python3
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="byoi agent with vLLM" \
      org.opencontainers.image.description="Turns NVIDIA GPUs into OpenAI-compatible capacity, by vLLM." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      io.byoi.sbom="byoi-agent-$VERSION.cdx.json"
USER 0
RUN groupadd --gid 10001 byoi \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/cache/byoi \
        --shell /usr/sbin/nologin byoi \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/byoi /var/cache/byoi /run/byoi
COPY --from=wheels /usr/bin/tini-static /usr/bin/tini
COPY --from=vllm-environment /opt/byoi /opt/byoi
COPY --chmod=0755 installers/docker/byoi-container /usr/local/bin/byoi-container
ENV BYOI_DATA_DIR=/var/lib/byoi \
    BYOI_CACHE_DIR=/var/cache/byoi \
    BYOI_RUNTIME_DIR=/run/byoi/node \
    BYOI_ENGINE=vllm \
    BYOI_VLLM_PYTHON=$VLLM_PYTHON \
    HOME=/var/cache/byoi \
    PATH=/opt/byoi/bin:$PATH \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/byoi
VOLUME ["/var/lib/byoi", "/var/cache/byoi"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["byoi", "status", "--healthy"]
ENTRYPOINT ["/usr/bin/tini", "-g", "--", "byoi-container"]
CMD ["run"]

FROM runtime AS agent
# llama.cpp is fetched when it is first wanted, and is linked against these.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 libstdc++6 \
    && rm -rf /var/lib/apt/lists/*
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="byoi agent" \
      org.opencontainers.image.description="Turns the machine it runs on into OpenAI-compatible capacity." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      io.byoi.sbom="byoi-agent-$VERSION.cdx.json"
RUN groupadd --gid 10001 byoi \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/cache/byoi \
        --shell /usr/sbin/nologin byoi \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/byoi /var/cache/byoi /run/byoi
COPY --from=agent-environment /opt/byoi /opt/byoi
COPY --chmod=0755 installers/docker/byoi-container /usr/local/bin/byoi-container
ENV BYOI_DATA_DIR=/var/lib/byoi \
    BYOI_CACHE_DIR=/var/cache/byoi \
    BYOI_RUNTIME_DIR=/run/byoi/node \
    HOME=/var/cache/byoi
USER 10001:10001
WORKDIR /var/lib/byoi
VOLUME ["/var/lib/byoi", "/var/cache/byoi"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["byoi", "status", "--healthy"]
ENTRYPOINT ["/usr/bin/tini", "-g", "--", "byoi-container"]
CMD ["run"]
