"""A room's human is one inbox: whoever drives the room answers what its seats ask.

No agent reads the terminal. `Terminal` is the inbox of `initiate_chat`: it reads one line in a daemon thread. When the
chat is cancelled nobody waits for that thread. Python's own `input` cannot be stopped, and the line it may still read
is given to the next question. A notebook puts a method of its kernel in its place, whose Python code waits for the
browser: KeyboardInterrupt is raised in it, as it is when a cell that waits there is interrupted, and the next question
has an input of its own. A function given as `human=` may be sync (it runs in a thread) or async.
"""

import asyncio
import ctypes
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


_NOTHING_TYPED = "somebody was asked, but {}: pass human=... , or use human_input_mode='NEVER'"


async def put(human: Human, question: str) -> str:
    """Ask one question and wait for the answer. NobodyThereError when the inbox is closed."""
    try:
        if inspect.iscoroutinefunction(human) or inspect.iscoroutinefunction(getattr(human, "__call__", None)):  # noqa: B004
            answer = await human(question)  # type: ignore[misc]
        else:
            said = await run_in_thread(lambda: human(question))
            answer = await said if inspect.isawaitable(said) else said
    except EOFError:
        raise NobodyThereError(_NOTHING_TYPED.format("standard input is closed")) from None
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


class _Line:
    """One line that a person is to type, read in a thread of its own, which begins when it is made."""

    def __init__(self, prompt: str) -> None:
        self.typed: Future[str] = Future()
        self._prompt = prompt
        self._interruptible = inspect.ismethod(input)  # of a notebook's kernel
        self._is_interrupted = False
        self._reads = threading.Lock()  # held by whoever interrupts, and by the thread when it has read
        self._thread = threading.Thread(target=self._read, daemon=True, name="a2a-bridge-terminal")
        self._thread.start()

    def _read(self) -> None:
        held = sys.stdin, getattr(sys.stdin, "buffer", None)
        try:
            said = input(self._prompt)
            with self._reads:
                self.typed.set_result(said)
        except BaseException as error:  # whoever waits for the line gets it
            if self._is_interrupted:
                self.typed.cancel()
            elif not self.typed.done():
                self.typed.set_exception(error)
        del held  # until here: an interpreter that ends while this thread reads would close it, and abort

    async def interrupt(self) -> None:
        """Nobody waits for it any more. Ends when the thread has, if it can be interrupted, after a second at most."""
        with self._reads:
            if not self._interruptible or self.typed.done():
                return
            self._is_interrupted = True
            thread = ctypes.c_ulong(self._thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(KeyboardInterrupt))
        await asyncio.wait((asyncio.wrap_future(self.typed),), timeout=1)


class Terminal:
    """The person at the terminal."""

    def __init__(self) -> None:
        self._reading: _Line | None = None
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def __call__(self, question: str) -> str:
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):  # one question at a time
            prompt = f"{question}\n> "
            line = self._reading
            if line is None:
                line = self._reading = _Line(prompt)
            else:  # the thread of a question that was cancelled is still reading
                sys.stdout.write(prompt)
                sys.stdout.flush()
            try:
                return await asyncio.shield(asyncio.wrap_future(line.typed))
            except asyncio.CancelledError:
                await line.interrupt()
                raise
            except (NotImplementedError, OSError):  # a notebook that a program runs; pytest, which captures
                raise NobodyThereError(_NOTHING_TYPED.format("nothing can be typed here")) from None
            finally:
                if line.typed.done():
                    self._reading = None


TERMINAL = Terminal()
