"""The ASGI app: several agents in one process under /NAME/, one of them at the root too.

Known paths are found in one dictionary, whatever the number of agents; everything else is Starlette's: health, 404,
405. Only pure ASGI here: nothing wraps a request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from a2a_bridge.cards.build import card_bytes, card_etag
from a2a_bridge.observe import metrics
from a2a_bridge.protocol.card import WELL_KNOWN_PATH, AgentCard
from a2a_bridge.server.http import Answer, Responds

OLD_WELL_KNOWN_PATH = "/.well-known/agent.json"
"""The name of before 0.3; some clients still ask for it (R-CARD-02)."""
CARD_SECONDS = 300
PROBES = ("/healthz", "/readyz", "/health")


class CardEndpoint:
    """One agent's public card, with ETag and 304 (R-CARD-01, R-CARD-08, R-CARD-09, R-CARD-11)."""

    def __init__(self, card: AgentCard) -> None:
        self._body = card_bytes(card)
        self._etag = card_etag(self._body)
        self._headers = (
            (b"etag", self._etag.encode("ascii")),
            (b"cache-control", f"public, max-age={CARD_SECONDS}".encode("ascii")),
            (b"access-control-allow-origin", b"*"),
            (b"vary", b"A2A-Version"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            answer = Answer(b"", 405, headers=((b"allow", b"GET, HEAD"),))
        elif self._is_known(scope):
            answer = Answer(b"", 304, headers=self._headers)
        else:
            answer = Answer(self._body, headers=self._headers)
        await answer(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        for name, value in scope["headers"]:
            if name == b"if-none-match":
                tags = [tag.strip().removeprefix("W/") for tag in value.decode("latin-1").split(",")]
                return "*" in tags or self._etag in tags
        return False


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
        return JSONResponse({"error": "Metrics are off: set observe.metrics = true."}, 404)
    text, kind = metrics.active.text()
    return Response(text, headers={"content-type": kind, "cache-control": "no-store"})


class App:
    """The whole server. `agents`: for each name its JSON-RPC endpoint and its card; `root` also stands at `/`."""

    def __init__(
        self,
        agents: Mapping[str, tuple[Responds, AgentCard]],
        *,
        root: str | None,
        root_card: AgentCard | None,
        ready: Callable[[], bool],
        lifespan: Lifespan[Starlette],
    ) -> None:
        self._paths: dict[str, ASGIApp] = {}
        for name, (endpoint, card) in agents.items():
            self._add(f"/{name}", endpoint, card)
        if root is not None and root_card is not None:
            self._add("", agents[root][0], root_card)
        health = Health(ready)
        routes = [
            Route("/healthz", health.live),
            Route("/health", health.live),
            Route("/readyz", health.readiness),
            Route("/metrics", show_metrics),
        ]
        self._rest = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: _not_found})

    def _add(self, prefix: str, endpoint: Responds, card: AgentCard) -> None:
        """Both forms of the URL, so that nobody is redirected (R-JRPC-01)."""
        self._paths[f"{prefix}/"] = endpoint
        if prefix:
            self._paths[prefix] = endpoint
        shown = CardEndpoint(card)
        self._paths[prefix + WELL_KNOWN_PATH] = shown
        self._paths[prefix + OLD_WELL_KNOWN_PATH] = shown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            root_path = scope.get("root_path", "")
            endpoint = self._paths.get(path.removeprefix(root_path) if root_path else path)
            if endpoint is not None:
                await endpoint(scope, receive, send)
                return
        await self._rest(scope, receive, send)


async def _not_found(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "There is nothing at this path; agents are at /NAME/, cards below them."}, 404)
