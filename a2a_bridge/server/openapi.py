"""The OpenAPI document of an agent's HTTP+JSON routes, as public as its card."""

from starlette.types import Receive, Scope, Send

from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.objects import json_bytes
from a2a_bridge.protocol.openapi import openapi_document
from a2a_bridge.server.http import Answer, headers_of
from a2a_bridge.server.refusal import refusal, wrong_verb

OPENAPI_PATH = "/openapi.json"
_HEADERS = ((b"cache-control", b"public, max-age=300"), (b"access-control-allow-origin", b"*"))


class OpenApiEndpoint:
    """Made from the card when it is first asked for, which few servers ever are."""

    def __init__(self, card: AgentCard) -> None:
        self._card = card
        self._body = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            answer = refusal(wrong_verb("GET, HEAD"), headers_of(scope))
        else:
            self._body = self._body or json_bytes(openapi_document(self._card))
            answer = Answer(self._body, headers=_HEADERS)
        await answer(scope, receive, send)
