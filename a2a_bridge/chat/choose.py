"""Who speaks next, by the rules of the room: at once where the log is enough, else with somebody's help."""

from dataclasses import replace

from a2a_bridge.agent import Usage
from a2a_bridge.chat.entry import Decision, StopReason
from a2a_bridge.chat.log import RoomLog
from a2a_bridge.chat.rules import Rules
from a2a_bridge.chat.speaker import Floor, Question, RoomView, at_random, by_function, by_model
from a2a_bridge.errors import SpeakerSelectionError


def why_stop(rules: Rules, log: RoomLog, met: StopReason | None) -> StopReason | None:
    """Why to stop before choosing: the condition that is `met` comes before the number of rounds."""
    if rules.limit is None or log.rounds < rules.limit:
        return met
    if met is not None:
        return replace(met, also=(*met.also, rules.limit_kind))
    told = f"{rules.limit} rounds, the opening one counted"
    if rules.limit_kind == "max_turns":
        told = f"max_turns={rules.limit // 2}: each of the two has had so many turns"
    return StopReason(rules.limit_kind, rules.manager.name, told)


def choose_at_once(rules: Rules, floor: Floor, log: RoomLog, handover: str | None) -> Decision | StopReason | None:
    """The decision, if no function, model or person is needed for it; a reason to stop if there are no candidates."""
    last = log.floor
    names = floor.candidates(last)
    if not names:
        return StopReason("no_speaker", rules.manager.name, f"nobody may speak after {last}" if last else "no speakers")
    method = rules.selector.method
    if method == "round_robin":
        return floor.round_robin(last)
    if method == "random":
        return at_random(names)
    if method == "auto" and handover in names and handover is not None:
        return Decision(names, handover, "handover", f"{last} handed over")
    if method == "auto" and len(names) == 1 and not log.replies:  # a manager may not end before anybody has answered
        return Decision(names, names[0], "only_candidate")
    return None


async def choose(rules: Rules, floor: Floor, log: RoomLog) -> tuple[Decision | StopReason | None, Usage | None]:
    """The decision of a function or a model, and what it used; None: a person must be asked."""
    method = rules.selector.method
    names = floor.candidates(log.floor)
    if callable(method):
        view = RoomView(tuple(floor.chairs.values()), log, rules.limit)
        try:
            chosen = await by_function(method, floor, view, names, log.floor)
        except SpeakerSelectionError as error:
            return StopReason("selection_failed", rules.manager.name, error.message), None
        if isinstance(chosen, Decision):
            return chosen, None
        method = chosen
    if method == "manual":
        return None, None
    if method == "round_robin":
        return floor.round_robin(log.floor), None
    if method == "random":
        return at_random(names), None
    model = rules.selector.model or rules.model
    if model is None:
        needed = "speaker selection 'auto' needs a model: GroupChatManager(groupchat, llm_config=...)"
        return StopReason("selection_failed", rules.manager.name, needed), None
    asked = Question(floor, log, names, log.replies > 0, rules.manager.name)
    return await by_model(model, asked, rules.selector.max_retries)
