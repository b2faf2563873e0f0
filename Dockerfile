# syntax=docker/dockerfile:1
# One image for every service; EXTRAS adds frameworks and more to it: "", "langgraph", "crewai", "langgraph,mcp", ...

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY a2a_bridge a2a_bridge
COPY adapters adapters
COPY agent_cards agent_cards
COPY locks locks
ARG EXTRAS=""
# The versions that the tests run with. Metrics, traces, webhooks that are kept and signatures are for every service.
RUN case "$EXTRAS" in *crewai*) lock=legacy ;; *) lock=modern ;; esac \
    && sed -n 's/^\([^ #]*==.*[^ ]\) *\\$/\1/p' "locks/$lock.txt" > constraints.txt \
    && python -m pip install --no-cache-dir --prefix /installed -c constraints.txt \
        ".[metrics,otel,security${EXTRAS:+,$EXTRAS}]"

FROM python:3.13-slim
LABEL org.opencontainers.image.title="a2a_bridge" \
      org.opencontainers.image.description="Agents of different frameworks in one conversation over A2A" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /installed /usr/local
# Tasks outlive the container in a volume at /data: set A2A_BRIDGE_STORE__PATH=/data/tasks.sqlite. The folder belongs to
# the user below, and a new volume takes that over (for a folder of the host: chown; in Kubernetes: fsGroup: 10001).
RUN install -d -o 10001 -g 10001 /data
WORKDIR /tmp
# It listens where others reach it, so it wants to know who may call: [auth] in a2a-bridge.toml, or in so many words
# A2A_BRIDGE_AUTH__ALLOW_ANONYMOUS=true.
USER 10001:10001
# These stand above an a2a-bridge.toml, which A2A_BRIDGE_CONFIG names wherever it is mounted.
ENV HOST=0.0.0.0 PORT=8080 HOME=/tmp PYTHONUNBUFFERED=1
EXPOSE 8080
# Over http: with [server.tls] give the service a check of its own.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=2)"]
CMD ["a2a-bridge", "serve"]
