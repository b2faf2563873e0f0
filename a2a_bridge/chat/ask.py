"""A room's human is one inbox: whoever drives the room answers what its seats ask.

No agent reads the terminal. `Terminal` is the inbox of `initiate_chat`: it reads one line in a daemon thread, which
cannot be stopped; when the chat is cancelled nobody waits for that thread, and the line it may still read is given to
the next question. A function given as `human=` may be sync (it runs in a thread) or async.
"""

import asyncio
import inspect
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from weakref import WeakKeyDictionary

from a2a_bridge.agent import Ask, parts_of, run_in_thread
from a2a_bridge.chat.entry import Speaker, metadata_of
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import JSONValue, Message, Part, Role

Human = Callable[[str], str | Awaitable[str]]
"""Answers a question: is given its text, returns the answer's."""


class NobodyThereError(ChatError):
    """Somebody was asked, and nobody is there to answer."""


async def put(human: Human, question: str) -> str:
    """Ask one question and wait for the answer. NobodyThereError when the inbox is closed."""
    try:
        if inspect.iscoroutinefunction(human) or inspect.iscoroutinefunction(getattr(human, "__call__", None)):  # noqa: B004
            answer = await human(question)  # type: ignore[misc]
        else:
            said = await run_in_thread(lambda: human(question))
            answer = await said if inspect.isawaitable(said) else said
    except EOFError:
        raise NobodyThereError(
            "somebody was asked, but standard input is closed: pass human=... , or use human_input_mode='NEVER'"
        ) from None
    return str(answer)


def question_of(ask: Ask, name: str) -> str:
    """The text a person reads: who asks, what, and the words to choose from."""
    words = "\n".join(part.text for part in parts_of(ask) if part.text)
    options = f" [{' / '.join(ask.options)}]" if ask.options else ""
    return f"{name}: {words or 'asks for something'}{options}"


async def answered_by(human: Human, asks: Sequence[tuple[str, Ask]], message_id: str) -> Message:
    """One message that answers all asks of a pause, each given with the name of who asks."""
    answers: dict[str, JSONValue] = {}
    for name, ask in asks:
        answers[ask.id] = await put(human, question_of(ask, name))
    part = Part(text=str(next(iter(answers.values())))) if len(asks) == 1 else Part(data=answers)
    metadata = metadata_of(Speaker("human", "human"))
    return Message(message_id=message_id, role=Role.USER, parts=(part,), metadata=metadata)


class Terminal:
    """The person at the terminal."""

    def __init__(self) -> None:
        self._reading: Future[str] | None = None
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def __call__(self, question: str) -> str:
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):  # one question at a time
            prompt = f"{question}\n> "
            line = self._reading
            if line is None:
                line = self._reading = self._read(prompt)
            else:  # the thread of a question that was cancelled is still reading
                sys.stdout.write(prompt)
                sys.stdout.flush()
            try:
                return await asyncio.shield(asyncio.wrap_future(line))
            finally:
                if line.done():
                    self._reading = None

    def _read(self, prompt: str) -> Future[str]:
        line: Future[str] = Future()

        def read() -> None:
            held = sys.stdin, getattr(sys.stdin, "buffer", None)
            try:
                line.set_result(input(prompt))
            except BaseException as error:  # whoever waits for the line gets it
                line.set_exception(error)
            del held  # until here: an interpreter that ends while this thread reads would close it, and abort

        threading.Thread(target=read, daemon=True, name="a2a-bridge-terminal").start()
        return line


TERMINAL = Terminal()
