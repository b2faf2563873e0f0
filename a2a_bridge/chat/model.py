"""Models: how an agent gets words out of one. The only file that imports openai, and only when a model is called.

Concurrency: a model object is configuration and may be used by any number of turns at once. An OpenAI client, with
its connections, belongs to one event loop: it is made at the first call in that loop, and closed when the model is gone
or with the loop, by the loop's own shutdown of async generators (`asyncio.run`, uvicorn and pytest all do that).
Cancelling a turn closes the stream, which hangs up on the model.
"""

import asyncio
import json
import logging
import os
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary, finalize, ref

from a2a_bridge.agent import ToolCall, Usage
from a2a_bridge.chat.prices import Prices, cost_of
from a2a_bridge.errors import ChatError
from a2a_bridge.observe import names
from a2a_bridge.observe.spans import span
from a2a_bridge.protocol.objects import JSONValue

if TYPE_CHECKING:
    from openai import AsyncOpenAI

ModelMessage = Mapping[str, Any]
"""One message to a model, as a chat completions endpoint takes it: `role`, `content`, and `name` if somebody in
particular said it; an assistant's may have `tool_calls`, which messages with the role `tool` then answer."""

ModelTool = Mapping[str, Any]
"""A tool that a model may call, as a chat completions endpoint takes it."""

Piece = str | ToolCall | Usage
"""What a model says, piece by piece. Arguments of a call that are no JSON are the text that came."""

_log = logging.getLogger(__name__)


class Model(Protocol):
    """What an agent or a manager asks for words.

    `stream` yields pieces of text, the calls of `tools` it wants made and, once it is known, `Usage`. `schema`: the
    answer should be JSON of this JSON Schema; a model that cannot be held to it answers in words. Raises ChatError
    when the model cannot be used.
    """

    @property
    def name(self) -> str: ...
    def stream(
        self, messages: Sequence[ModelMessage], *, schema: JSONValue = None, tools: Sequence[ModelTool] = ()
    ) -> AsyncGenerator[Piece, None]: ...


def asked(
    model: Model, messages: Sequence[ModelMessage], schema: JSONValue, tools: Sequence[ModelTool]
) -> AsyncGenerator[Piece, None]:
    """Ask a model; tools are named only if there are any, so that a model that knows none need not take the word."""
    if tools:
        return model.stream(messages, schema=schema, tools=tools)
    return model.stream(messages, schema=schema)


async def ask_model(model: Model, messages: Sequence[ModelMessage], *, schema: JSONValue = None) -> tuple[str, Usage]:
    """The whole answer of a model, and what it used."""
    words: list[str] = []
    usage = Usage()
    async with aclosing(model.stream(messages, schema=schema)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Usage):
                usage += piece
            elif isinstance(piece, str):
                words.append(piece)
    return "".join(words), usage


@dataclass(frozen=True)
class OpenAIModel:
    """A model behind an OpenAI-compatible chat completions endpoint.

    What is not given comes from the environment, as openai reads it: OPENAI_API_KEY, OPENAI_BASE_URL. An endpoint
    named by a base URL may go without a key. `timeout`: seconds without a byte. `max_retries`: how often a call that
    was answered 408, 409, 429 or 5xx, or not at all, is made again, with growing pauses or as Retry-After says; never
    once words have come. `options` go to the endpoint.

    What a call cost is what the endpoint says; else it follows from `price`, US dollars per 1,000 tokens of input and
    of output; else from the table `prices` (see `chat.prices`), and is unknown for a model that is not in it.
    """

    model: str
    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    timeout: float = 120.0
    max_retries: int = 3
    default_headers: Mapping[str, str] | None = field(default=None, repr=False)
    price: tuple[float, float] | None = None
    prices: Prices | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    _clients: "_Clients" = field(default_factory=lambda: _Clients(), init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """As the endpoint knows it."""
        return self.model

    async def stream(
        self, messages: Sequence[ModelMessage], *, schema: JSONValue = None, tools: Sequence[ModelTool] = ()
    ) -> AsyncGenerator[Piece, None]:
        import openai

        client = await self._clients.get(self)
        calls = _Calls()
        with span(
            f"{names.CHAT} {self.model}", "client", {names.OPERATION: names.CHAT, names.MODEL: self.model}
        ) as made:
            try:
                response = await self._open(client, messages, schema, tools)
            except openai.OpenAIError as error:
                raise ChatError(self._trouble(error)) from None
            try:
                async with response:
                    async for chunk in response:
                        if chunk.choices and (text := calls.taken(chunk.choices[0].delta)):
                            yield text
                        if chunk.usage is not None:
                            made.set(names.INPUT_TOKENS, chunk.usage.prompt_tokens)
                            made.set(names.OUTPUT_TOKENS, chunk.usage.completion_tokens)
                            yield self._usage(chunk.usage)
            except openai.OpenAIError as error:
                raise ChatError(self._trouble(error)) from None
        for call in calls.made():
            yield call

    async def _open(
        self, client: Any, messages: Sequence[ModelMessage], schema: JSONValue, tools: Sequence[ModelTool]
    ) -> Any:
        from openai import BadRequestError, UnprocessableEntityError

        request: dict[str, Any] = {
            **self.options,
            "model": self.model,
            "messages": list(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if tools:
            request["tools"] = list(tools)
        if schema is None:
            return await client.chat.completions.create(**request)
        form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
        try:
            return await client.chat.completions.create(**request, response_format=form)
        except (BadRequestError, UnprocessableEntityError) as error:
            _log.debug("%s takes no JSON schema, asked again without one: %s", self.model, error)
            return await client.chat.completions.create(**request)

    def _usage(self, used: Any) -> Usage:
        cost = cost_of(used, self.model, self.price, self.prices)
        return Usage(used.prompt_tokens, used.completion_tokens, cost, self.model)

    def _trouble(self, error: Exception) -> str:
        status = getattr(error, "status_code", None)
        where = f"the model {self.model!r}" + (f" at {self.base_url}" if self.base_url else "")
        told = str(getattr(error, "message", None) or error)
        key = self._key()
        if key and len(key) >= 8:  # a made-up one for a local endpoint may be any word
            told = told.replace(key, "(the key)")  # some endpoints repeat it, and this is told to the room
        return f"{where} answered with HTTP {status}: {told}" if status else f"{where} could not be asked: {told}"

    def _key(self) -> str | None:
        return self.api_key or os.environ.get("OPENAI_API_KEY")

    def connect(self) -> "AsyncOpenAI":
        """A new client, for the running event loop."""
        import openai

        key = self._key()
        if not key and not (self.base_url or os.environ.get("OPENAI_BASE_URL")):
            raise ChatError(
                f"there is no key for the model {self.model!r}: set OPENAI_API_KEY, or llm_config['api_key'];"
                " for a local endpoint set llm_config['base_url']"
            )
        return openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=self.base_url,
            timeout=self.timeout,
            max_retries=self.max_retries,
            default_headers=self.default_headers,
        )


class _Calls:
    """The tool calls of one answer, put together from the pieces in which they are streamed."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[list[str], list[str], list[str]]] = {}

    def taken(self, delta: Any) -> str | None:
        """Take the calls out of a piece; what is left of it are words."""
        for piece in delta.tool_calls or ():
            ids, called, arguments = self._held.setdefault(piece.index or 0, ([], [], []))
            if piece.id and not ids:  # some endpoints repeat it with every piece
                ids.append(piece.id)
            if piece.function is not None:
                if piece.function.name and not called:
                    called.append(piece.function.name)
                arguments.append(piece.function.arguments or "")
        words: str | None = delta.content
        return words

    def made(self) -> list[ToolCall]:
        found = []
        for at, (ids, called, arguments) in sorted(self._held.items()):
            call_id = "".join(ids) or f"call_{at}_{uuid.uuid4().hex[:8]}"
            found.append(ToolCall(call_id, "".join(called), _arguments("".join(arguments))))
        return found


def _arguments(text: str) -> JSONValue:
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return text
    return found if isinstance(found, dict) else text


class _Clients:
    """One OpenAI client of a model per event loop."""

    def __init__(self) -> None:
        self._ready: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncOpenAI] = WeakKeyDictionary()

    async def get(self, model: OpenAIModel) -> "AsyncOpenAI":
        loop = asyncio.get_running_loop()
        ready = self._ready.get(loop)
        if ready is None:
            ready = self._ready[loop] = model.connect()
            kept = _OPEN.get(loop)
            if kept is None:
                kept = _OPEN[loop] = _Open()
            kept.clients.add(ready)
            finalize(self, _let_go, ref(loop), ready).atexit = False
            await kept.watch()
        return ready


class _Open:
    """All clients of one event loop. They are closed when their models are gone, the rest when the loop shuts down its
    async generators. Until it is closed each is held here: a client and its connections must never be garbage
    together, for then the connections are torn down in any order."""

    def __init__(self) -> None:
        self.clients: set[AsyncOpenAI] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._end: AsyncGenerator[None, None] | None = None

    async def watch(self) -> None:
        """Be told when the loop ends."""
        if self._end is None:
            self._end = _at_the_end(self.clients)
            await anext(self._end)  # now the loop knows the generator, and closes it at its end

    def close(self, client: "AsyncOpenAI") -> None:
        """Nobody uses it any more. A task does it, which is held here; one that is cancelled has left it to the end."""
        task = asyncio.get_running_loop().create_task(self._close(client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close(self, client: "AsyncOpenAI") -> None:
        await client.close()
        self.clients.discard(client)


_OPEN: WeakKeyDictionary[asyncio.AbstractEventLoop, _Open] = WeakKeyDictionary()


async def _at_the_end(clients: "set[AsyncOpenAI]") -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        while clients:
            await clients.pop().close()


def _let_go(loop: "ref[asyncio.AbstractEventLoop]", client: "AsyncOpenAI") -> None:
    """The model is gone: called by whichever thread collects it."""
    running = loop()
    kept = None if running is None else _OPEN.get(running)
    if running is not None and kept is not None:
        with suppress(RuntimeError):  # it has ended, and closed all of them
            running.call_soon_threadsafe(kept.close, client)


@dataclass(frozen=True)
class FallOver:
    """Several models for one job: the next is asked when one cannot be used, unless it has said something already."""

    models: tuple[Model, ...]

    @property
    def name(self) -> str:
        """The first one's name: it is asked first every time."""
        return self.models[0].name

    async def stream(
        self, messages: Sequence[ModelMessage], *, schema: JSONValue = None, tools: Sequence[ModelTool] = ()
    ) -> AsyncGenerator[Piece, None]:
        troubles: list[str] = []
        for model in self.models:
            said = False
            try:
                async with aclosing(asked(model, messages, schema, tools)) as pieces:
                    async for piece in pieces:
                        said = True
                        yield piece
                return
            except ChatError as error:
                if said:
                    raise
                troubles.append(error.message)
                _log.warning("a model could not be used, the next one is asked: %s", error)
        raise ChatError("none of the models could be used: " + "; ".join(troubles))
