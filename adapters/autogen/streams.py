"""Model clients as copies of agents have them: usage is counted when they stream, and a stream that is left is closed.

AutoGen's client reads OpenAI's stream a chunk at a time, each as a task of its own. A cancel that comes between two
chunks leaves the stream half read and unclosed, so the connection, and the model's work, would go on until the garbage
collector comes by. The stream is then found in the frames that were left, and closed here.
"""

import contextlib
import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from types import AsyncGeneratorType, FrameType, TracebackType
from typing import Any

from autogen_core.models import ChatCompletionClient


def careful(client: ChatCompletionClient) -> Any:
    """The client, on the same connections, with a `create_stream` that counts and closes."""
    found = object.__new__(type(client))  # copy.copy would open connections of its own
    vars(found).update(vars(client))
    create = client.create_stream
    if "include_usage" in inspect.signature(create).parameters:
        create = functools.partial(create, include_usage=True)
    vars(found)["create_stream"] = lambda *args, **options: _closing(create(*args, **options))
    return found


def is_careful(client: ChatCompletionClient) -> bool:
    """Whether it is one of ours already: a function may give the same object twice."""
    return "create_stream" in vars(client)


async def _closing(stream: Any) -> AsyncGenerator[Any, None]:
    is_complete = False
    try:
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                yield piece
        is_complete = True
    finally:
        if not is_complete:  # cancelled, failed, or left by its reader
            for response in _responses(_frames(sys.exc_info()[2], stream)):
                with contextlib.suppress(Exception):  # a connection that is closed already
                    await response.close()


def _frames(trace: TracebackType | None, stream: Any) -> list[FrameType]:
    frames = [stream.ag_frame] if isinstance(stream, AsyncGeneratorType) and stream.ag_frame else []
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return frames


def _responses(frames: list[FrameType]) -> Iterator[Any]:
    """OpenAI's streams among the locals of the frames, and of the generators that are left in them."""
    for frame in frames:
        for value in list(frame.f_locals.values()):
            if isinstance(value, AsyncGeneratorType) and value.ag_frame is not None and value.ag_frame not in frames:
                frames.append(value.ag_frame)
            elif "response" in getattr(value, "__dict__", ()) and inspect.iscoroutinefunction(
                getattr(type(value), "close", None)
            ):
                yield value
