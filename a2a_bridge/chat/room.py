"""The engine: one run of one room, from the message that opens it to the reason why it stopped.

Concurrency, in prose. A `Room` is one run and belongs to whoever reads `play()`. The seat that has the floor runs
inside that reader's task: cancelling the task reaches the seat at its `await`, a `RemoteAgent` then cancels its remote
task, and the generator is closed before the room's is (by a `finally`: `aclosing` costs more than a word does).
Several seats that speak at once have tasks of their own (`hearing.py`), which end before `play()` does. A room that is
served has one more task, which takes what is sent to it meanwhile; it is cancelled with the run. A reader that goes
away without cancelling closes `play()`, with the same effect. Nothing is written while being cancelled, except that it
was by Ctrl-C at the terminal (`interruption.py`): the log then ends in the middle of a run. Being killed leaves the
same log. When the same turn is asked for again, the run goes on from there (`resume.py`): who has answered is not asked
again, and who had been asked is asked once more under the same id. Another turn closes it as interrupted.
If the journal refuses a write, the run ends with that error; what was not committed was shown to nobody.

The decision who speaks is committed before that seat is called, a reply before anybody else is asked. Everything a
room knows is a fold of its log (`log.py`).
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator

from a2a_bridge.agent import Answer, Ask, Reply, Turn, Usage, abandon, speaker_of
from a2a_bridge.chat.ask import Human
from a2a_bridge.chat.choose import candidates, choose, choose_at_once, why_stop, with_handover
from a2a_bridge.chat.control import CanceledError, Gone, listen, register, unregister
from a2a_bridge.chat.entry import END, Decision, Entry, StopReason
from a2a_bridge.chat.failure import one_sentence, raised
from a2a_bridge.chat.hearing import Hearing
from a2a_bridge.chat.interruption import is_interrupted
from a2a_bridge.chat.log import RoomLog, RunHead, remember
from a2a_bridge.chat.names import check_names, fold_name
from a2a_bridge.chat.opening import Opening
from a2a_bridge.chat.outside import OUTSIDE, Outside
from a2a_bridge.chat.recognise import ask_about_cards, is_other
from a2a_bridge.chat.result import ChatResult, Kept, human_input, usage_by_speaker
from a2a_bridge.chat.resume import take_up
from a2a_bridge.chat.rules import Rules, Summarise
from a2a_bridge.chat.run import NO_USAGE, Run, room_id, used
from a2a_bridge.chat.seat import REPLACED, Seat, take_chairs
from a2a_bridge.chat.speaker import Floor, check_transitions, fallback, parse_manual, who_repeats
from a2a_bridge.chat.summary import last_words
from a2a_bridge.chat.turns import SeatTurns
from a2a_bridge.chat.watch import choice_span, tell_choice, watch_run
from a2a_bridge.errors import BridgeError, SpeakerSelectionError
from a2a_bridge.store.journal import StreamJournal

__all__ = ["ChatResult", "Room", "abandon_room"]

_log = logging.getLogger(__name__)
NEXT_SPEAKER = "next-speaker"


class Room:
    """One run of a room. `play` is read once, to its end; then `result` says what came of it.

    `human` answers what seats ask. Without it a room that `pauses` hands the question on and ends its turn, to go on
    when the answer comes; any other room stops with `input_required`. `opener` is the seat in whose name the opening
    message is said. `summarise` replaces the rules' own. `outside` is where the run gets what is not in its log.
    """

    def __init__(
        self,
        rules: Rules,
        turn: Turn,
        *,
        human: Human | None = None,
        opener: str | None = None,
        pauses: bool = False,
        summarise: Summarise | None = None,
        outside: Outside = OUTSIDE,
    ) -> None:
        self.rules = rules
        self.run = Run(rules, turn, control=outside.control, breaker=outside.breaker)
        self._outside = outside
        self.summary = ""
        self._turn = turn
        self._opener = opener
        self._summarise = summarise or rules.summarise
        self._hearing = Hearing(self.run)
        self._inbox = outside.inbox(self.run, self._hearing, human, pauses=pauses)
        self._opening = Opening(self.run, opener)
        self._changes: tuple[Seat | Gone, ...] = ()
        self._names: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The same for the same manager, caller and context."""
        return self.run.id

    @property
    def log(self) -> RoomLog:
        """What has been written down."""
        return self.run.log

    @property
    def stop(self) -> StopReason | None:
        """Why the run stopped; None while it runs, and when it waits for an answer."""
        return self.run.stop

    async def play(self) -> AsyncGenerator[Entry | Reply, None]:
        """Run the room: its log entries, once they are kept, and between them what the seats say while they say it."""
        run = self.run
        register(run.control)
        outside = self._listen_outside()
        with watch_run(self.rules.manager.name, self._turn.context_id) as watch:
            try:
                await self._open()
                while run.stop is None and not self._inbox.paused:
                    entries, step = await self._prepare()
                    for entry in entries:
                        yield entry
                    if step is None:
                        continue
                    try:
                        async for shown in step:
                            yield shown
                            if run.control.said:  # somebody interjects while somebody speaks
                                self._take_in()
                                for entry in await run.commit():
                                    yield entry
                    finally:
                        await step.aclose()
                for last in await self._end():
                    yield last
            finally:
                await self._leave(outside)
                if run.stop is not None or self._inbox.paused:
                    watch.stopped(run.stop)

    async def _prepare(self) -> tuple[list[Entry], AsyncGenerator[Entry | Reply, None] | None]:
        """Settle what can be settled at once; gives what may be shown now, and what happens next."""
        run = self.run
        if run.control.is_wanted:
            await self._heed()
        if run.stop is None and not run.next and not run.log.asked:
            if run.meter.counts and (told := run.meter.notice()) is not None:
                run.add(run.log.make("noted", self.rules.manager, run.note(told)))
            if not self._choose_at_once():
                return await run.commit(), self._choose()
        shown = await run.commit()
        if run.next and run.floor.has_remotes:
            await self._recognise()
            shown += await run.commit()
        if run.stop is not None:
            return shown, None
        if run.next:
            turns, run.next = run.next, []
            if len(turns) == 1:
                return shown, self._hearing.one(*turns[0])
            return shown, self._hearing.together(turns, self.rules.selector.enough(len(turns)))
        return shown, self._inbox.serve()

    def result(self) -> ChatResult:
        """What came of the run, once `play` has ended."""
        log = self.log
        run = log.entries[self.run.began :]
        stop = self.stop or StopReason("input_required", detail=", ".join(ask.text for ask in self._inbox.paused))
        return ChatResult(
            messages=tuple(log.messages),
            summary=self.summary,
            stop=stop,
            usage=usage_by_speaker(run),
            human_input=human_input(run),
            decisions=tuple(entry.why for entry in run if entry.kind == "decided" and entry.why is not None),
            room_id=self.id,
            entries=tuple(run),
            kept=Kept(self._turn.context_id, self._turn.journal),
            opener=self._opener,
            debate=None if self.rules.protocol is None else self.rules.protocol.measure(run),
        )

    # How a run begins.

    async def _open(self) -> None:
        run, log, turn = self.run, self.log, self._turn
        await log.load()
        self._outside.begin(run)
        await self._take_seats()
        run.began = log.since
        goes_on = bool(log.run) and log.head is not None and log.head.turn == turn.id
        if turn.answer is not None and log.asked and (log.head is None or log.head.turn != turn.id):
            log.begin(self._head(log.head.seed if log.head else self._outside.seed(self.rules)))
            run.rejudge()
            self._take_answer(turn.answer)
            return
        if not goes_on and log.head is not None and log.head.turn == turn.id:
            self._repeat()
            return
        if goes_on and log.head is not None:
            is_forked = log.is_forked
            log.begin(log.head)  # so that a reader sees that it was cut off here
            run.rejudge()
            for entry in self._opening.seats():
                run.add(entry)
            take_up(run, self._hearing.settlement, is_forked=is_forked)
            ask_about_cards(run)
            return
        if log.run:
            log.add(self.run.stopped(None, StopReason("interrupted")))
        run.began = log.since
        log.begin(self._head(self._outside.seed(self.rules)))
        for entry in self._opening.entries(turn):
            run.add(entry)
        ask_about_cards(run)

    def _head(self, seed: int) -> RunHead:
        turn = self._turn
        return RunHead(turn.id, seed, turn.context_id, turn.caller.tenant, turn.caller.principal)

    async def _take_seats(self) -> None:
        rules = self.rules
        seats = seats_after(rules.seats, self._changes)
        chairs = await self._outside.chairs(seats, rules)
        check_names((rules.manager.name, *(chair.name for chair in chairs)))
        self.run.sit(
            Floor(
                chairs,
                may_repeat=who_repeats(rules.repeats, chairs),
                allowed=check_transitions(rules.transitions, rules.transitions_kind, chairs),
                all_speak=rules.pair,
            )
        )

    def _repeat(self) -> None:
        """This turn has been answered before the process ended: the answer is the same."""
        last = self.log.entries[-1]
        self.run.stop, self.summary = last.stop, last.text
        self.run.began = next(
            (at + 1 for at in range(len(self.log.entries) - 2, -1, -1) if self.log.entries[at].is_end), 0
        )

    def _take_answer(self, answer: Answer) -> None:
        """Go on where the room asked: the answer goes to the seats that wanted it."""
        run, asked = self.run, list(self.log.asked.values())
        for message in self._turn.messages:
            if message.message_id != answer.message.message_id:  # said while the room waited
                run.add(self._opening.said(message, self._opening.speaker(speaker_of(message))))
        self._inbox.take(asked, answer.message)
        if asked[0].asks[0].id == NEXT_SPEAKER:
            self._chosen_by_hand(answer.message.text, asked[0])

    # What others want of the running room.

    def _listen_outside(self) -> "asyncio.Task[None] | None":
        """Of a room that is served: take what is sent to its task while it runs."""
        if self._turn.task_id is None:
            return None
        return asyncio.get_running_loop().create_task(listen(self._turn, self.run.control))

    async def _heed(self) -> None:
        """Do what was asked for from outside: stop, wait, take in what was said, and who comes and goes."""
        run, control = self.run, self.run.control
        try:
            if control.canceled is not None:
                raise CanceledError(control.canceled)
            if control.is_paused:
                await self.log.commit()
                await control.pass_pause()
        except CanceledError as error:
            run.cancel(error)
            return
        self._take_in()
        if control.finished is not None:
            run.finish(control.finished)
        if control.seats:
            while control.seats:
                self._changes = control.seats.popleft()(self._changes)
            await self._sit_anew()
        while run.replacing:  # another agent takes the seat of one that failed, under its name, and its turn with it
            chair, attempt = run.replacing.pop(0)
            seat = Seat(chair.on_failure.replacement, chair.name, view=chair.view, timeout=chair.timeout)
            seat.key = f"{chair.key}{REPLACED}"  # what the other agent remembers is not this one's
            self._changes = (*self._changes, Gone(chair.key), seat)
            await self._sit_anew()
            taken = run.floor.chairs[chair.name]
            run.next.append((taken, run.turns.make(taken, attempt)))
        if run.is_taken_up and not self.log.asked:
            run.is_taken_up = False
            take_up(run, self._hearing.settlement, is_forked=True)
        control.is_wanted = bool(control.said or control.seats)

    def _take_in(self) -> None:
        run, control = self.run, self.run.control
        while control.said:
            name, message = control.said.popleft()
            run.add(self._opening.said(message, self._opening.speaker(name)))

    async def _sit_anew(self) -> None:
        await self._take_seats()
        for entry in self._opening.seats():
            self.run.add(entry)
        ask_about_cards(self.run)

    async def _recognise(self) -> None:
        """Look at the cards of those who are about to be called; nobody is handed anything who is in question."""
        run, speakers = self.run, [chair for chair, _ in self.run.next]
        if await self._outside.has_changed(speakers):
            await self._sit_anew()
            run.next = [(run.floor.chairs[chair.name], turn) for chair, turn in run.next]
        elif any(is_other(run, chair) for chair in speakers):
            ask_about_cards(run)

    # Who speaks next.

    def _choose_at_once(self) -> bool:
        """Look whether to stop, and choose if nobody must be asked for it. True: it is settled."""
        run = self.run
        chosen: Decision | StopReason | None = why_stop(run)
        if chosen is None:
            try:
                self._names = candidates(run)
                chosen = choose_at_once(run, self._names)
            except SpeakerSelectionError as error:
                chosen = StopReason("selection_failed", self.rules.manager.name, error.message)
        return self._settled(chosen)

    async def _choose(self) -> AsyncGenerator[Entry, None]:
        """Choose with the help of a function, a model or a person; what was said before has been shown."""
        run = self.run
        try:
            with choice_span(self.rules.manager.name) as choosing:
                chosen, usage = await run.control.guard(choose(run, self._names))
                tell_choice(choosing, chosen)
            if not self._settled(chosen, usage):
                await self._choose_by_hand(self._names)
        except CanceledError as error:
            run.cancel(error)
        for entry in await run.commit():
            yield entry

    def _settled(self, chosen: Decision | StopReason | None, usage: Usage | None = None) -> bool:
        if isinstance(chosen, Decision):
            self._decide(chosen, usage)
        else:
            self.run.stop = chosen
        return chosen is not None

    async def _choose_by_hand(self, names: tuple[str, ...]) -> None:
        run, manager = self.run, self.rules.manager
        listed = ", ".join(f"{number} {name}" for number, name in enumerate(names, 1))
        ask = Ask(text=f"Who speaks next? {listed}; q ends the conversation.", options=names, id=NEXT_SPEAKER)
        for _ in range(self.rules.selector.max_retries + 1):
            asked = run.add(Entry(self.log.next_seq, "asked", self.log.turn, manager, asks=(ask,), at=self.log.now))
            await run.log.commit()
            answer = await self._inbox.answer([asked])
            if answer is None:
                return
            self._inbox.take([asked], answer)
            if self._chosen_by_hand(answer.text, asked):
                return
        self._decide(fallback(names, self.log, "no answer named a candidate"))

    def _chosen_by_hand(self, answer: str, asked: Entry) -> bool:
        names = asked.asks[0].options
        chosen = parse_manual(answer, names)
        if chosen is not None:
            self._decide(Decision(names, chosen, "manual", "chosen by a person"))
        return chosen is not None

    def _decide(self, why: Decision, usage: Usage | None = None) -> None:
        """Put the decision into the log, and get ready to call the seats once it is kept there."""
        run, log, manager = self.run, self.log, self.rules.manager
        if log.handover is not None:
            why = with_handover(run, why)
        number = log.turn + (why.chosen != END)
        if run.owed is not NO_USAGE:
            usage, run.owed = (usage or NO_USAGE) + run.owed, NO_USAGE
        run.add(Entry(log.next_seq, "decided", number, manager, None, 1, used(usage), why, at=log.now))
        if why.chosen == END:
            by = "human" if why.chosen_by == "manual" else manager.name
            kind = {"manual": "human", "function": "function"}.get(why.chosen_by, "converged")
            run.stop = StopReason(kind, by, why.reason)
        elif log.fallbacks > 1 and self.rules.selector.on_failure == "stop":
            last = f" ({one_sentence(why.rejected[-1])})" if why.rejected else ""
            detail = f'twice in a row: {why.reason}{last}; to go on all the same, use Selector(on_failure="fallback")'
            run.stop = StopReason("selection_failed", manager.name, detail)
        else:
            chairs = run.floor.chairs
            run.next = [(chairs[name], run.turns.make(chairs[name], 1)) for name in why.speakers]

    # How a run ends.

    async def _end(self) -> list[Entry | Reply]:
        if self._inbox.paused:
            return [*self._inbox.paused]
        stop = self.stop
        assert stop is not None
        if self.log.entries and self.log.entries[-1].is_end:  # it had ended before
            return []
        self.summary, usage = last_words(self.log.run), NO_USAGE
        if self._summarise is not None and stop.kind != "canceled":
            try:
                self.summary, usage = await self._summarise(self.log.run)
            except Exception as error:  # a model, or the user's function: the conversation has been had all the same
                trace = None if isinstance(error, BridgeError) else error
                _log.warning("not summed up, the last words stand for it: %s", raised(error), exc_info=trace)
        message = self.run.note(self.summary) if self.summary else None
        self.run.add(self.run.stopped(message, stop, used(usage)))
        return [*await self.run.commit()]

    async def _leave(self, outside: "asyncio.Task[None] | None") -> None:
        """The run is over, or is cut off here. If the person who drives it has pressed Ctrl-C, the log says so, and if
        it is kept, that it can be gone on with."""
        run, log = self.run, self.log
        self._hearing.close()
        unregister(run.control)
        if outside is not None:
            outside.cancel()
        if run.stop is None and is_interrupted():
            is_kept = isinstance(self._turn.journal, StreamJournal)
            run.stop = StopReason("interrupted", "human", f"Ctrl-C{'; it can be gone on with' if is_kept else ''}")
            if log.is_whole and log.head is not None and log.head.turn == self._turn.id:
                run.add(self.run.stopped(None, run.stop))
                await run.commit()
        remember(log)


def seats_after(seats: tuple[Seat, ...], changes: tuple[Seat | Gone, ...]) -> tuple[Seat, ...]:
    """Who sits in a room after some have come and some have gone."""
    found = [*seats]
    for change in changes:
        if isinstance(change, Gone):
            found = [seat for seat in found if fold_name(seat.key) != fold_name(change.name)]
        else:
            found.append(change)
    return tuple(found)


async def abandon_room(rules: Rules, turn: Turn) -> None:
    """A room that waits for an answer will get none: tell the seats that asked."""
    log = RoomLog(turn.journal, rules.manager)
    await log.load()
    asked = {entry.speaker.name: entry for entry in log.asked.values() if entry.speaker is not None}
    if not asked:
        return
    turns = SeatTurns(room_id(rules, turn), turn, log, rules.manager)
    for chair in await take_chairs(rules.seats, rules.view, rules.on_failure):
        if chair.name in asked:
            with contextlib.suppress(asyncio.TimeoutError):
                await abandon(chair.agent, turns.make(chair, asked[chair.name].attempt))
