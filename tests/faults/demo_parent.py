"""Stands in for the demo in `test_demo_ends.py`: three servers, each with an open stream, under the demo's own rules.

Called with a number it is one of the servers.
"""

import http.client
import sys

from a2a_bridge.demo.processes import Children, Signals, free_port, watch_parent

watch_parent()


async def app(scope, receive, send):
    """Ready at once; every other path is a stream that never ends by itself."""
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    endless = scope["path"] != "/readyz"
    await send({"type": "http.response.body", "body": b"opened\n", "more_body": endless})
    while endless and (await receive())["type"] != "http.disconnect":
        pass


def serve(port: int) -> None:
    import uvicorn

    uvicorn.run(app, port=port, timeout_graceful_shutdown=2)


def slow_to_import(path: str) -> None:
    """Tells that it has begun, then takes for ever."""
    import threading

    with open(path, "w") as file:
        file.write("importing\n")
    threading.Event().wait()


class Told(Children):
    """Says when the clean-up begins, so that a test can strike in the middle of it."""

    def stop(self, grace: float = 3.0) -> None:
        print("stopping", flush=True)
        super().stop(grace)


def main(stage: str, fifo: str) -> None:
    with Signals() as signals, Told(signals) as children:
        import os

        for number in range(3):
            port = free_port()
            role = ["--slow", fifo] if stage == "importing" and number == 2 else ["--serve", str(port)]
            child = children.start(f"child-{number}", [sys.executable, __file__, *role], port, os.environ)
            print("child", child.process.pid, flush=True)
        if stage == "fails":
            children.start("bad", [sys.executable, "-c", "raise SystemExit('no such luck')"], free_port(), os.environ)
        children.wait_until_ready(timeout=20)
        streams = []
        for child in children.running:
            stream = http.client.HTTPConnection(child.url.removeprefix("http://"))
            stream.request("GET", "/stream")
            answer = stream.getresponse()
            answer.readline()
            streams.append((stream, answer))
        print("streaming", flush=True)
        streams[0][1].read()  # blocks until its server goes


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(int(sys.argv[2]))
    elif sys.argv[1] == "--slow":
        slow_to_import(sys.argv[2])
    else:
        main(*sys.argv[1:])
