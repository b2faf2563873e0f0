"""What turns have made is gone when they have ended: a part of `AdapterContract`.

A server takes turns for months. So some turns are taken, and then the objects are counted that were made meanwhile and
are still there, by their type: as many as there were turns, and somebody keeps one of each.
"""

import asyncio
import gc
import logging
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from a2a_bridge.agent import Adapter, Agent, Ask, abandon, traits_of
from a2a_bridge.errors import AdapterFailedError
from a2a_bridge.testing.adapter_case import AdapterCase, shows, within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk

TURNS = 8
LOOKS = 50
"""How often it is looked whether all is gone: threads of a framework may have a last word to say."""

_NOT_COUNTED = (*sys.stdlib_module_names, "a2a_bridge.testing")
_COUNTED = ("_asyncio.Task",)


class AdapterLetsGo(AdapterCase):
    """Turns in ever new contexts, each of another kind. `kept`: types that a framework keeps a limited number of."""

    kept: ClassVar[tuple[str, ...]] = ()

    async def leaves_nothing(self, take: Callable[[str], Awaitable[object]]) -> None:
        """Take turns, each in a context of the name that `take` is given, and see what is left of them."""
        for number in range(3):  # what is made once and for all
            await within(take(f"before-{number}"))
        with new_objects() as left:
            for number in range(TURNS):
                await within(take(f"context-{number}"))
            many: dict[str, int] = {}
            for _ in range(LOOKS):
                many = {name: n for name, n in left().items() if n >= TURNS and name not in self.kept}
                if not many:
                    return
                await asyncio.to_thread(gc.collect)
        assert many == {}

    async def test_turns_leave_nothing_in_memory(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Ours: a context costs what its journal and its history cost, and no memory."""
        agent = adapter.adapt(self.with_tools(model))
        await self.leaves_nothing(lambda name: Talk(agent, name).say('CALL add {"a": 2, "b": 3}'))

    async def test_failed_turns_leave_nothing_in_memory(self, agent: Agent) -> None:
        """Ours: nor does what the model refuses."""

        async def fail(name: str) -> None:
            with pytest.raises(AdapterFailedError):
                await Talk(agent, name).say("FAIL500")

        await self.leaves_nothing(fail)

    async def test_cancelled_turns_leave_nothing_in_memory(self, agent: Agent, model: FakeOpenAI) -> None:
        """Ours: nor do turns that are cut off in the middle of the model's answer."""

        async def cut(name: str) -> None:
            model.hold()
            seen = len(model.requests)
            turn = asyncio.create_task(Talk(agent, name).say("SLOW"))
            await model.until(lambda m: len(m.requests) > seen)
            turn.cancel()
            if not traits_of(agent).stops_on_cancel:
                model.release()
            with pytest.raises(asyncio.CancelledError):
                await turn

        await self.leaves_nothing(cut)

    @shows("pauses")
    async def test_answered_questions_leave_nothing_in_memory(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Ours: what has waited is let go when its answer has come."""
        agent = adapter.adapt(self.asking(model, self.memory()))

        async def answer(name: str) -> None:
            talk = Talk(agent, name)
            assert isinstance((await talk.say(self.ask))[-1], Ask)
            await talk.say("yes")

        await self.leaves_nothing(answer)

    @shows("pauses")
    async def test_questions_that_are_given_up_leave_nothing_in_memory(
        self, adapter: Adapter, model: FakeOpenAI
    ) -> None:
        """Architecture §1.1: `abandon` frees what waits."""
        agent = adapter.adapt(self.asking(model, self.memory()))

        async def give_up(name: str) -> None:
            talk = Talk(agent, name)
            assert isinstance((await talk.say(self.ask))[-1], Ask)
            talk.asks = ()
            await abandon(agent, talk.turn(""))

        await self.leaves_nothing(give_up)


@contextmanager
def new_objects() -> Iterator[Callable[[], Counter[str]]]:
    """Counts, by type, the objects of frameworks and of ours that were made since, and the tasks of event loops."""
    gc.freeze()  # what is there already is not looked at: neither counted nor collected
    logging.disable()  # pytest keeps what is logged, exceptions included
    try:
        yield _count
    finally:
        logging.disable(logging.NOTSET)
        gc.unfreeze()


def _count() -> Counter[str]:
    gc.collect()
    names = Counter(_name(type(one)) for one in gc.get_objects())
    return Counter({name: n for name, n in names.items() if name in _COUNTED or not _is_plain(name)})


def _name(kind: type[Any]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_plain(name: str) -> bool:
    return name.partition(".")[0] in _NOT_COUNTED or name.startswith(_NOT_COUNTED[-1] + ".")
