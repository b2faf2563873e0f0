# syntax=docker/dockerfile:1
# One image for every service; EXTRAS chooses the frameworks in it: "", "langgraph" or "crewai".

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY a2a_bridge a2a_bridge
COPY adapters adapters
COPY agent_cards agent_cards
ARG EXTRAS=""
RUN python -m pip install --no-cache-dir --prefix /installed ".${EXTRAS:+[$EXTRAS]}"

FROM python:3.13-slim
LABEL org.opencontainers.image.title="a2a_bridge" \
      org.opencontainers.image.description="Agents of different frameworks in one conversation over A2A" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /installed /usr/local
# Mount a volume and set A2A_BRIDGE_STORE__PATH to a file in it to keep tasks over restarts of the container.
WORKDIR /tmp
# It listens where others reach it, so it wants to know who may call: [auth] in a2a-bridge.toml, or in so many words
# A2A_BRIDGE_AUTH__ALLOW_ANONYMOUS=true.
USER 10001:10001
ENV HOST=0.0.0.0 PORT=8080 HOME=/tmp PYTHONUNBUFFERED=1
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz', timeout=2)"]
CMD ["a2a-bridge", "serve"]
