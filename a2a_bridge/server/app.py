"""The ASGI app: several agents in one process under /NAME/, one of them at the root too.

Fixed paths are found in one dictionary, whatever the number of agents; then come the routes of the HTTP+JSON binding;
everything else is Starlette's: health, and 404. Only pure ASGI here: nothing wraps a request.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from a2a_bridge.cards.catalog import CATALOG_PATH
from a2a_bridge.cards.modes import Versions
from a2a_bridge.cards.sign import Signer
from a2a_bridge.observe import metrics
from a2a_bridge.protocol.card import WELL_KNOWN_PATH, AgentCard
from a2a_bridge.protocol.routes import ROUTES, V1_ROUTES
from a2a_bridge.server.http import Answer, Responds, headers_of
from a2a_bridge.server.openapi import OPENAPI_PATH, OpenApiEndpoint
from a2a_bridge.server.refusal import not_found, refusal, wrong_verb
from a2a_bridge.server.rest import RestEndpoint
from a2a_bridge.server.well_known import OLD_WELL_KNOWN_PATH, CardEndpoint, CatalogEndpoint

PROBES = ("/healthz", "/readyz", "/health")


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes tell: `ready` asks whether new work is taken."""

    ready: Callable[[], bool]

    async def live(self, request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    async def readiness(self, request: Request) -> Response:
        """New work is taken: the store is open and the server is not stopping."""
        ready = self.ready()
        return JSONResponse({"status": "ready" if ready else "not ready"}, 200 if ready else 503)


async def show_metrics(request: Request) -> Response:
    """Prometheus' text format; nothing is here while metrics are off."""
    if metrics.active is None:
        return _response(not_found(headers_of(request.scope), "Metrics are off: set observe.metrics = true."))
    text, kind = metrics.active.text()
    return Response(text, headers={"content-type": kind, "cache-control": "no-store"})


class Served(NamedTuple):
    """One agent: its JSON-RPC endpoint, its HTTP+JSON routes, its card, and who signs it."""

    rpc: Responds
    rest: RestEndpoint
    card: AgentCard
    signer: Signer | None = None


class App:
    """The whole server. `agents` by their names in URLs; `root` also stands at `/`. `versions`: what they speak.
    `base_url`: where the server is."""

    def __init__(
        self,
        agents: Mapping[str, Served],
        *,
        root: str | None,
        root_card: AgentCard | None,
        base_url: str,
        versions: Versions = Versions(),
        ready: Callable[[], bool],
        lifespan: Lifespan[Starlette],
    ) -> None:
        self._paths: dict[str, ASGIApp] = {}
        self._versions = versions
        self._routes = ROUTES if versions.v03 else V1_ROUTES
        for name, served in agents.items():
            self._add(f"/{name}", served)
        if root is not None and root_card is not None:
            self._add("", agents[root]._replace(card=root_card))
        self._paths[CATALOG_PATH] = CatalogEndpoint({name: served.card for name, served in agents.items()}, base_url)
        self._rest = {name.encode("ascii"): served.rest for name, served in agents.items()}
        self._root_rest = None if root is None else agents[root].rest
        health = Health(ready)
        routes = [
            Route("/healthz", health.live),
            Route("/health", health.live),
            Route("/readyz", health.readiness),
            Route("/metrics", show_metrics),
        ]
        self._others = Starlette(
            routes=routes, lifespan=lifespan, exception_handlers={404: _not_found, 405: _wrong_verb}
        )

    def _add(self, prefix: str, served: Served) -> None:
        """Both forms of the URL, so that nobody is redirected (R-JRPC-01)."""
        self._paths[f"{prefix}/"] = served.rpc
        if prefix:
            self._paths[prefix] = served.rpc
        shown = CardEndpoint(served.card, self._versions, served.signer)
        self._paths[prefix + WELL_KNOWN_PATH] = shown
        self._paths[prefix + OLD_WELL_KNOWN_PATH] = shown
        self._paths[prefix + OPENAPI_PATH] = OpenApiEndpoint(served.card)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            root_path = scope.get("root_path", "")
            endpoint = self._paths.get(path.removeprefix(root_path) if root_path else path)
            if endpoint is not None:
                await endpoint(scope, receive, send)
                return
            rest, segments = self._routed(_raw_path(scope))
            found = None if rest is None else self._routes.find(segments)
            if rest is not None and found is not None:
                await rest.answer(found, scope, receive, send)
                return
        await self._others(scope, receive, send)

    def _routed(self, path: bytes) -> tuple[RestEndpoint | None, Sequence[bytes]]:
        """Whose path it is, and what is left of it."""
        segments = path.split(b"/")[1:]
        rest = self._rest.get(segments[0]) if len(segments) > 1 else None
        return (self._root_rest, segments) if rest is None else (rest, segments[1:])


def _raw_path(scope: Scope) -> bytes:
    """The path as it was sent: decoded, it no longer says where its segments end."""
    raw: bytes | None = scope.get("raw_path")
    raw = quote(scope["path"]).encode("ascii") if raw is None else raw
    root_path: str = scope.get("root_path", "")
    return raw.removeprefix(root_path.encode("utf-8")) if root_path else raw


async def _not_found(request: Request, error: Exception) -> Response:
    return _response(not_found(headers_of(request.scope)))


async def _wrong_verb(request: Request, error: Exception) -> Response:
    allow = ", ".join(sorted((getattr(error, "headers", None) or {}).get("Allow", "").split(", ")))
    return _response(refusal(wrong_verb(allow), headers_of(request.scope)))


def _response(found: Answer) -> Response:
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in found.headers}
    return Response(found.body, found.status, headers, found.content_type.decode("ascii"))
