"""A room as operators see it: spans and metrics of runs, turns and choices, when somebody has switched them on."""

from time import perf_counter
from types import TracebackType

from a2a_bridge.agent import Turn
from a2a_bridge.chat.entry import Decision, Entry, StopReason
from a2a_bridge.chat.seat import Chair
from a2a_bridge.observe import metrics, names, spans
from a2a_bridge.observe.spans import span


class Unwatched:
    """Nobody wants to know."""

    def stopped(self, stop: StopReason | None) -> None:
        """See `RunWatch`."""

    def settled(self, entry: Entry) -> None:
        """See `TurnWatch`."""

    def __enter__(self) -> "Unwatched":
        return self

    def __exit__(self, *error: object) -> None: ...


_UNWATCHED = Unwatched()


def watch_run(name: str, context_id: str) -> "RunWatch | Unwatched":
    """Enter it around a run of the room called `name`."""
    return RunWatch(name, context_id) if metrics.active is not None or spans.is_on() else _UNWATCHED


def watch_turn(manager: str, chair: Chair, turn: Turn) -> "TurnWatch | Unwatched":
    """Enter it around a turn of a seat."""
    return TurnWatch(manager, chair, turn) if metrics.active is not None or spans.is_on() else _UNWATCHED


class RunWatch:
    """One run of a room: it is told at the end why it stopped."""

    def __init__(self, name: str, context_id: str) -> None:
        self._name = name
        attributes = {
            names.OPERATION: names.INVOKE_WORKFLOW,
            names.WORKFLOW: name,
            names.CONVERSATION: context_id,
            names.SESSION: context_id,
        }
        self._span = span(f"{names.INVOKE_WORKFLOW} {name}", "internal", attributes)
        self._stop = "interrupted"

    def stopped(self, stop: StopReason | None) -> None:
        """Why it stopped; None: it waits for an answer."""
        self._stop = "input_required" if stop is None else stop.kind
        self._span.set(names.STOP, self._stop)

    def __enter__(self) -> "RunWatch":
        self._span.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._span.__exit__(kind, error, where)
        if (counted := metrics.active) is not None:
            counted.rounds.labels(self._name, self._stop).inc()


def choice_span(manager: str) -> span:
    """Around a choice that a model or a function makes."""
    return span(names.SELECT_SPEAKER, "internal", {names.WORKFLOW: manager})


def tell_choice(choosing: span, chosen: Decision | StopReason | None) -> None:
    """Who was chosen and by what; nobody if there was no choice that could be used."""
    if isinstance(chosen, Decision):
        choosing.set(names.CHOSEN, chosen.chosen)
        choosing.set(names.CHOSEN_BY, chosen.chosen_by)


class TurnWatch:
    """One turn of a seat: it is told what the room wrote down of it."""

    def __init__(self, manager: str, chair: Chair, turn: Turn) -> None:
        self._manager, self._speaker = manager, chair.name
        self._began = perf_counter()
        is_remote = chair.speaker.kind == "remote"
        attributes = {
            names.OPERATION: names.INVOKE_AGENT,
            names.AGENT: chair.name,
            names.WORKFLOW: manager,
            names.CONVERSATION: turn.context_id,
            names.ADDRESS: chair.speaker.endpoint if is_remote else None,
        }
        self._span = span(f"{names.INVOKE_AGENT} {chair.name}", "client" if is_remote else "internal", attributes)
        self._outcome = "interrupted"

    def settled(self, entry: Entry) -> None:
        """What came of the turn."""
        self._outcome = entry.kind
        if entry.kind == "failed":
            self._span.fail("failed")
        used = entry.usage
        if used is None:
            return
        self._span.set(names.INPUT_TOKENS, used.input_tokens)
        self._span.set(names.OUTPUT_TOKENS, used.output_tokens)
        self._span.set(names.MODEL, used.model)
        if (counted := metrics.active) is not None:
            counted.tokens.labels(self._manager, self._speaker, "input").inc(used.input_tokens)
            counted.tokens.labels(self._manager, self._speaker, "output").inc(used.output_tokens)

    def __enter__(self) -> "TurnWatch":
        self._span.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._span.__exit__(kind, error, where)
        if (counted := metrics.active) is not None:
            counted.turns.labels(self._manager, self._speaker, self._outcome).inc()
            counted.turn_seconds.labels(self._manager, self._speaker).observe(perf_counter() - self._began)
