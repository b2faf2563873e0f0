"""Servers to check: ours, and ours behind something that spoils its answers."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.check.run import Finding, Probe, check_agent
from a2a_bridge.guard import Guard
from a2a_bridge.tasks.push import Push

WEBHOOK = "http://127.0.0.1:9/hook"

Spoil = Callable[[int, dict[str, str], bytes], tuple[int, dict[str, str], bytes]]


def echo(text: str) -> str:
    """Says it again."""
    return f"echo: {text}"


def a_bridge(url: str) -> Bridge:
    """A server of ours that takes webhooks on this machine."""
    return Bridge(echo, public_url=url, options=Options(push=Push(Guard(loopback=True))))


class Spoiled:
    """A bridge whose answers to some requests are changed on their way out."""

    def __init__(self, url: str, spoil: Spoil) -> None:
        self._bridge = a_bridge(url)
        self._spoil = spoil

    async def drain(self) -> None:
        await self._bridge.drain()

    def hurry(self) -> None:
        self._bridge.hurry()

    def waits(self) -> str:
        return self._bridge.waits()

    @property
    def app(self) -> "Spoiled":
        return self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._bridge.app(scope, receive, send)
            return
        head: dict[str, Any] = {}
        pieces: list[bytes] = []

        async def hold(message: Any) -> None:
            if message["type"] == "http.response.start":
                head.update(message)
            elif message["type"] == "http.response.body":
                pieces.append(message.get("body", b""))
                if not message.get("more_body"):
                    await release()

        async def release() -> None:
            headers = {name.decode().lower(): value.decode() for name, value in head["headers"]}
            status, headers, body = self._spoil(head["status"], headers, b"".join(pieces))
            if scope["method"] != "HEAD":
                headers["content-length"] = str(len(body))
            raw = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": status, "headers": raw})
            await send({"type": "http.response.body", "body": body})

        await self._bridge.app(scope, receive, hold)


def on_json(change: Callable[[Any], Any]) -> Spoil:
    """Changes what is JSON: the body, or the data of each event."""

    def spoil(status: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if headers.get("content-type", "").startswith("text/event-stream"):
            lines = [
                b"data: " + json.dumps(change(json.loads(line[6:]))).encode() if line.startswith(b"data: {") else line
                for line in body.splitlines()
            ]
            return status, headers, b"\n".join(lines) + b"\n\n"
        if "json" in headers.get("content-type", "") and body:
            return status, headers, json.dumps(change(json.loads(body))).encode()
        return status, headers, body

    return spoil


def everywhere(value: Any, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Any:
    """Changes every object, the innermost first."""
    if isinstance(value, list):
        return [everywhere(item, change) for item in value]
    if isinstance(value, dict):
        return change({name: everywhere(item, change) for name, item in value.items()})
    return value


async def findings_at(url: str, **more: Any) -> list[Finding]:
    """What a check of a server finds."""
    return [finding async for finding in check_agent(Probe(url, webhook=WEBHOOK, **more))]
