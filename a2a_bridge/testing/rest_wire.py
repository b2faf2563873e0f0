"""The same rude caller over HTTP+JSON: what a test says to a `Wire` in words of JSON-RPC is asked by route and query.

A test that is not about envelopes runs on both bindings with one text, and so shows that they say the same (R-BIND-01).
"""

import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from pydantic.alias_generators import to_camel

from a2a_bridge import errors
from a2a_bridge.errors import A2AError
from a2a_bridge.protocol.methods import OPERATIONS, Operation
from a2a_bridge.testing.wire import Frame, Reader, Wire

_NAMED = {operation.name: operation for operation in OPERATIONS}
_CODES = {
    kind.reason: kind.code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, A2AError) and kind is not errors.JSONParseError
}


class _Bare(Reader):
    """Events of this binding have no envelope; here they get one, for the sake of the tests."""

    async def next(self) -> Frame | None:
        frame = await super().next()
        if frame is None or "error" in frame.data:
            return frame
        return Frame(frame.id, frame.event, {"result": frame.data})


def request_of(operation: Operation, params: Mapping[str, Any], path: str = "") -> tuple[str, str, Any]:
    """Verb, URL and body of a call; the body is None where the route has none."""
    left = dict(params)
    tenant = left.pop("tenant", "")
    url = operation.path
    for name in re.findall(r"\{(\w+)\}", operation.path):
        value = left.pop(to_camel(name), None) or left.pop(name)
        url = url.replace(f"{{{name}}}", quote(str(value), safe=""))
    url = path.rstrip("/") + (f"/{quote(tenant, safe='')}" if tenant else "") + url
    if operation.verb == "POST":
        return "POST", url, left
    query = {name: json.dumps(value) if isinstance(value, bool) else value for name, value in left.items()}
    return operation.verb, url + ("?" + urlencode(query) if query else ""), None


class RestWire(Wire):
    """One agent's HTTP+JSON routes; `path` is what stands before them."""

    def _request(self, method: str, params: Any, headers: Mapping[str, str] | None, accept: str) -> httpx.Request:
        verb, url, body = request_of(_NAMED[method], params or {}, self.path)
        more = {"accept": accept, **(headers or {})}
        if body is not None:
            more = {"content-type": "application/a2a+json", **more}
        content = None if body is None else json.dumps(body)
        return self.http.build_request(verb, url, content=content, headers=more)

    async def call(
        self, method: str, params: Any = None, *, id: Any = 1, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The answer in the shape of a JSON-RPC response."""
        request = self._request(method, params, headers, "application/a2a+json")
        response = await self.http.send(request)
        return {"id": id, **opened(response)}

    @contextlib.asynccontextmanager
    async def stream(self, method: str, params: Any, headers: Mapping[str, str] | None = None) -> AsyncIterator[Reader]:
        """Open a stream; a plain answer instead of one fails the test."""
        request = self._request(method, params, headers, "text/event-stream")
        response = await self.http.send(request, stream=True)
        try:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise AssertionError(f"no stream: {(await response.aread()).decode('utf-8', 'replace')}")
            yield _Bare(response)
        finally:
            await response.aclose()


def opened(response: httpx.Response) -> dict[str, Any]:
    """`result` or `error` of an answer; the error in the members of a JSON-RPC error object."""
    assert response.headers["content-type"] in ("application/a2a+json", "application/json")
    found = response.json()
    if response.status_code == 200:
        return {"result": found}
    error = found["error"]
    assert error["code"] == response.status_code
    reason = next(detail["reason"] for detail in error["details"] if "reason" in detail)
    code = _CODES.get(reason, -32603)
    return {"error": {"code": code, "message": error["message"], "data": error["details"]}}
