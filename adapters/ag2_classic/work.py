"""One run of classic AutoGen in a thread, and what it tells on the way into the event loop.

AutoGen calls models and tools from sync code, and its async methods only move that to a thread pool. So each run gets
a thread of its own, started and awaited by `Work.events`, which never leaves before the thread has ended: the slot of
a cancelled turn stays taken as long as the work goes on. What can be done is done: once nobody listens any more, the
next thing that AutoGen tells (a token, a tool call) raises `Stopped` in the middle of its work, which closes the
model's stream. What a run tells comes through AutoGen's own IOStream, which is set in the thread's context, so runs
at the same time never see each other's, and none reads or writes the terminal.
"""

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, NamedTuple
from weakref import WeakSet

from autogen.io import IOStream

from a2a_bridge.agent import run_in_thread
from adapters.ag2_classic.copies import clients_of

GATHERS = 0.005
"""Seconds. The loop is woken for each event, unless they come faster than this: then it comes by itself so often, and
reads all that were told. A thread that wakes a loop costs both of them more than the event itself."""


class Stopped(BaseException):
    """Nobody waits for this run any more. Not an Exception: AutoGen would tell its model about it."""


class HumanWanted(BaseException):
    """A human is to speak. Not an Exception, and the run ends with it: it is taken up with their words."""

    def __init__(self, name: str, prompt: str) -> None:
        super().__init__(f"{name} is to speak")
        self.name = name
        self.prompt = prompt


class Said(NamedTuple):
    """An agent has spoken: what `generate_reply` gave."""

    name: str
    reply: Any


class Token(NamedTuple):
    """A piece of what an agent is saying."""

    name: str
    text: str


_LISTENED = ("generate_reply", "get_human_input", "_run_async_in_thread")

_work: contextvars.ContextVar["Work | None"] = contextvars.ContextVar("a2a_bridge_classic_work", default=None)
"""The run whose thread this is."""


_watched: WeakSet[Any] = WeakSet()
"""OpenAI's completions whose streams are kept."""


def _watch(completions: Any) -> None:
    """From now on a stream that is made here is closed with the run that asked for it. AutoGen reads streams in a loop
    that never closes them: half read one would stay open until the garbage collector comes by, and the model's work
    would go on."""
    if completions in _watched:
        return
    create = completions.create

    def kept(answer: Any) -> Any:
        work = _work.get()
        if work is not None and hasattr(answer, "response") and hasattr(answer, "close"):
            work.streams.append(answer)
        return answer

    completions.create = lambda **options: kept(create(**options))
    _watched.add(completions)


class Work(IOStream):  # type: ignore[misc]  # checked without the framework's types
    """`async for event in work.events(call)`, then `work.result`. `call` is sync and runs once.

    `streams`: what its model calls stream, to be closed with it.
    """

    def __init__(self) -> None:
        self.result: Any = None
        self.speaker: str | None = None
        self._loop = asyncio.get_running_loop()
        self._told: deque[Any] = deque()
        self._bell = asyncio.Event()
        self._rings = False
        self._stopped = threading.Event()
        self.streams: list[Any] = []
        self._listened: list[tuple[Any, dict[str, Any]]] = []

    async def events(self, call: Callable[[], Any]) -> AsyncGenerator[Any, None]:
        """What the run tells as it comes; raises what the call raised."""
        context = contextvars.copy_context()
        running = asyncio.create_task(run_in_thread(lambda: context.run(self._run, call)))
        running.add_done_callback(lambda _: self._bell.set())
        now, gathers = self._loop.time(), False
        try:
            while True:
                await self._bell.wait()
                self._bell.clear()
                woken, now = now, self._loop.time()
                gathers = bool(self._told) and (gathers or now - woken < GATHERS)
                if gathers:
                    self._loop.call_later(GATHERS, self._bell.set)  # what is told until then need not ring
                else:
                    self._rings = False  # before reading: what is told from now on rings again
                while self._told:
                    yield self._told.popleft()
                if running.done() and not self._told:
                    break
            self.result = running.result()
        finally:
            self._stopped.set()
            if not running.done():
                await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # looked at: whoever stopped the run does not want to hear of it
            self._leave()

    def _run(self, call: Callable[[], Any]) -> Any:
        _work.set(self)  # in the context of this run
        with IOStream.set_default(self):
            try:
                return call()
            finally:
                for stream in self.streams:
                    stream.close()

    def tell(self, event: object) -> None:
        """In the thread: hand an event on, or stop here because nobody listens. The loop is woken once for all that
        is told before it comes to look; see `GATHERS`."""
        if self._stopped.is_set():
            raise Stopped
        self._told.append(event)
        if not self._rings:
            self._rings = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
                self._loop.call_soon_threadsafe(self._bell.set)

    def listen_to(self, agent: Any) -> None:
        """From now on, until the events have ended, it is known what this agent says, and which tokens are its own."""
        speak = agent.generate_reply

        def generate_reply(messages: Any = None, sender: Any = None, exclude: Any = ()) -> Any:
            around, self.speaker = self.speaker, agent.name
            try:
                reply = speak(messages, sender, exclude)
            finally:
                self.speaker = around
            self.tell(Said(agent.name, reply))
            return reply

        def get_human_input(prompt: str, *, iostream: Any = None) -> str:
            raise HumanWanted(agent.name, prompt)

        self._listened.append((agent, {name: held for name, held in vars(agent).items() if name in _LISTENED}))
        agent.generate_reply = generate_reply
        agent.get_human_input = get_human_input
        agent._run_async_in_thread = _run_here  # noqa: SLF001  # AutoGen has no switch for it
        for client in clients_of(agent.client):
            provider = vars(client).get("_oai_client")
            if provider is not None:
                _watch(provider.chat.completions)

    def _leave(self) -> None:
        """The agents are as they were: one that held what listens to it would wait for the garbage collector."""
        for agent, before in self._listened:
            for name in _LISTENED:
                vars(agent).pop(name, None)
            vars(agent).update(before)

    # AutoGen's IOStream.

    def send(self, message: Any) -> None:
        """What AutoGen would show on a terminal."""
        if message.type == "stream":
            if self.speaker is not None:
                self.tell(Token(self.speaker, message.content.content))
        elif message.type == "executed_function":
            self.tell(message.content)
        elif self._stopped.is_set():
            raise Stopped

    def print(self, *objects: Any, sep: str = " ", end: str = "\n", flush: bool = False) -> None:
        """Nothing goes to the terminal."""

    def input(self, prompt: str = "", *, password: bool = False) -> str:
        """Nothing is read from the terminal: whoever asks there, a human is wanted."""
        raise HumanWanted(self.speaker or "human", prompt)


def _run_here(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """An async tool, in an event loop of the run's own thread: AutoGen takes another thread, which knows of no run, and
    would write to the terminal."""
    with asyncio.Runner() as runner:
        return runner.run(coroutine)
