"""The limit: raw Starlette under the same HTTP server, sending bytes that were made before.

`/answer/` reads a request as JSON and answers with a static body. `/chunks/` and `/waits/` send a prebuilt event
stream, one ASGI send for each event, the latter with a `sleep(0)` after each. The bytes are those that our own server
sent for the same request.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from benchmarks.processes import serve_until_told


def main() -> None:
    """Arguments: the port, and the folder with `answer` and `stream`."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    body = (folder / "answer").read_bytes()
    events = [event + b"\n\n" for event in (folder / "stream").read_bytes().split(b"\n\n") if event]

    async def answer(request: Request) -> Response:
        await request.json()
        return Response(body, media_type="application/json")

    async def chunks(request: Request) -> Response:
        await request.json()
        return StreamingResponse(_prebuilt(events), media_type="text/event-stream")

    async def waits(request: Request) -> Response:
        await request.json()
        return StreamingResponse(_waiting(events), media_type="text/event-stream")

    routes = [
        Route("/answer/", answer, methods=["POST"]),
        Route("/chunks/", chunks, methods=["POST"]),
        Route("/waits/", waits, methods=["POST"]),
    ]
    uvicorn.run(
        Starlette(routes=routes), port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )


async def _prebuilt(events: list[bytes]) -> AsyncIterator[bytes]:
    for event in events:
        yield event


async def _waiting(events: list[bytes]) -> AsyncIterator[bytes]:
    for event in events:
        yield event
        await asyncio.sleep(0)


if __name__ == "__main__":
    serve_until_told(main)
