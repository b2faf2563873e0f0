"""Hearing seats: one after another, or several at once.

Concurrency, in prose. One seat speaks in the task of whoever reads the room, with no task of its own. Of several, each
speaks in a task that belongs to the reader of `together`; all have been handed the same, frozen view. Their words
come through one bounded queue, so that a room nobody reads holds them up; None in it says that one of them has ended.
When enough have answered (`Barrier`) the others are cancelled; what they say after that is not admitted. Whatever ends
`together`, a failure, a cancelled room or a reader that goes away, its tasks are cancelled and waited for first. What
they came to is written down in the order of the decision, after all of them are done.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from a2a_bridge.agent import Reply, Turn
from a2a_bridge.chat.control import CanceledError
from a2a_bridge.chat.failure import Failure
from a2a_bridge.chat.listen import Watch, heard
from a2a_bridge.chat.run import Run
from a2a_bridge.chat.seat import Chair
from a2a_bridge.chat.settle import Settlement
from a2a_bridge.chat.speech import Speech
from a2a_bridge.chat.summary import reflect
from a2a_bridge.chat.watch import watch_turn
from a2a_bridge.errors import StoreError

_AHEAD = 64
"""Words of several speakers that may wait for a reader."""


@dataclass(slots=True)
class _Voice:
    """One of several speakers."""

    chair: Chair
    turn: Turn
    speech: Speech
    trouble: Exception | None = None
    is_done: bool = False
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)

    @property
    def has_ended(self) -> bool:
        return self.task is not None and self.task.done()

    @property
    def has_answered(self) -> bool:
        return self.is_done and self.trouble is None and not self.speech.outcome().is_empty


class Hearing:
    """Hears the turns of one run. `close` it at the end."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._watch = run.control.watch = Watch()
        self._summaries: dict[int, str] = {}
        self.settlement = Settlement(run)

    def close(self) -> None:
        """Nobody is heard any more."""
        self._watch.close()

    def _speech(self, chair: Chair, turn: Turn) -> Speech:
        return Speech(chair, self._run.log.turn, turn.attempt, chair.words_metadata(self._run.log.why))

    async def _summed_up(self, chair: Chair, turn: Turn) -> Turn:
        """The turn with what came before its messages in the words of the room's model, which is asked once."""
        run = self._run
        start = chair.view.start(run.log.view_end, 0)
        model = run.rules.model
        if not start or model is None:
            return turn
        if start not in self._summaries:
            before = [entry for entry in run.log.entries if entry.kind == "said"][:start]
            text, usage = await reflect(model, before, {})
            self._summaries[start] = text
            run.owed += usage
        note = run.note(f"What was said before, in short: {self._summaries[start]}")
        return replace(turn, messages=(note, *turn.messages))

    def _is_cut_off(self, chair: Chair, turn: Turn) -> bool:
        """An endpoint that cannot be reached is not called again and again."""
        left = self._run.breaker.seconds_left(chair.speaker.endpoint)
        if not left:
            return False
        told = f"has not been reachable and is not called for another {left:.0f} s"
        self.settlement.failed(chair, turn, Failure(told, is_unreached=True), None)
        return True

    async def one(self, chair: Chair, turn: Turn) -> AsyncGenerator[Reply, None]:
        """What one seat says, as it says it; then what it came to is in the log, unless the room was told to stop."""
        if chair.speaker.endpoint is not None and self._is_cut_off(chair, turn):
            return
        run = self._run
        if chair.view.kind == "summary":
            turn = await self._summed_up(chair, turn)
        speech = self._speech(chair, turn)
        trouble: Exception | None = None
        with watch_turn(run.rules.manager.name, chair, turn) as watched:
            try:
                replies = heard(chair.speak(turn), chair.timeout, self._watch)
                try:
                    async for reply in replies:
                        shown = speech.take(reply)
                        if shown is not None:
                            yield shown
                finally:
                    await replies.aclose()
            except StoreError:  # our own log, not the seat: the run must end
                raise
            except CanceledError as error:
                run.cancel(error, [chair])
                return
            except Exception as error:  # whatever a seat raises is that seat's failure, not the room's
                trouble = error
            rest = speech.rest()
            if rest is not None:
                yield rest
            self.settlement.settle(chair, turn, speech, trouble)
            watched.settled(run.log.entries[-1])

    async def together(self, turns: Sequence[tuple[Chair, Turn]], enough: int) -> AsyncGenerator[Reply, None]:
        """The same of several at once; `enough` answers end the turn."""
        voices = [_Voice(chair, turn, self._speech(chair, turn)) for chair, turn in turns]
        called = [voice for voice in voices if not self._is_cut_off(voice.chair, voice.turn)]
        queue: asyncio.Queue[Reply | None] = asyncio.Queue(_AHEAD)
        loop = asyncio.get_running_loop()
        try:
            for voice in called:
                voice.task = loop.create_task(self._listen(voice, queue))
                voice.task.add_done_callback(lambda _: _wake(queue))
            while not queue.empty() or not all(voice.has_ended for voice in called):
                item = await self._run.control.guard(queue.get())
                if item is not None:
                    yield item
                if (item is None or queue.empty()) and sum(voice.has_answered for voice in called) >= enough:
                    break
        except CanceledError as error:
            self._run.cancel(error, [voice.chair for voice in called if not voice.is_done])
            return
        finally:
            await _let_go([voice.task for voice in called if voice.task is not None])
        self._settle(called)

    def _settle(self, called: Sequence[_Voice]) -> None:
        """Write down what they came to, in the order of the decision."""
        for voice in called:
            if isinstance(voice.trouble, StoreError):
                raise voice.trouble
        for voice in called:
            if voice.is_done:
                self.settlement.settle(voice.chair, voice.turn, voice.speech, voice.trouble)
            else:
                self.settlement.late(voice.chair)

    async def _listen(self, voice: _Voice, queue: "asyncio.Queue[Reply | None]") -> None:
        chair, turn, watch = voice.chair, voice.turn, Watch()
        try:
            if chair.view.kind == "summary":
                turn = await self._summed_up(chair, turn)
            with watch_turn(self._run.rules.manager.name, chair, turn):
                async with aclosing(heard(chair.speak(turn), chair.timeout, watch)) as replies:
                    async for reply in replies:
                        shown = voice.speech.take(reply)
                        if shown is not None:
                            await queue.put(shown)
            rest = voice.speech.rest()
            if rest is not None:
                await queue.put(rest)
        except Exception as error:  # whatever a seat raises is that seat's failure, not the room's
            voice.trouble = error
        finally:
            watch.close()
        voice.is_done = True


def _wake(queue: "asyncio.Queue[Reply | None]") -> None:
    """Let the reader look who has ended; it does not wait while there is something to read."""
    with contextlib.suppress(asyncio.QueueFull):
        queue.put_nowait(None)


async def _let_go(tasks: "Sequence[asyncio.Task[None]]") -> None:
    """Cancel what still runs and wait for it; a cancelled caller waits too, so that no seat is left behind."""
    for task in tasks:
        task.cancel()
    pending = [task for task in tasks if not task.done()]
    if pending:
        await asyncio.wait(pending)
