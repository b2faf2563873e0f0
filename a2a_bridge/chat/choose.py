"""Who speaks next, by the rules of the room: at once where the log is enough, else with somebody's help.

Whoever is chosen is one of the candidates: seats that may follow the last speaker, that every filter lets through, and
whose own budget is not spent.
"""

from dataclasses import replace

from a2a_bridge.agent import Usage
from a2a_bridge.chat.condition import first_of
from a2a_bridge.chat.debate.drive import ask_judge, next_in
from a2a_bridge.chat.entry import END, Decision, StopReason
from a2a_bridge.chat.failure import raised
from a2a_bridge.chat.room_view import RoomView
from a2a_bridge.chat.run import Run
from a2a_bridge.chat.speaker import Question, at_random, by_function, by_model
from a2a_bridge.errors import SpeakerSelectionError

HANDED = "; "
"""Stands between the reason of a choice, and why a handover was not followed."""
_LONGEST_NAME = 80


def why_stop(run: Run) -> StopReason | None:
    """Why to stop before choosing. A budget comes before a condition that is met, that before the number of rounds;
    what else would have ended it stands in `also`. When there is a reason, nobody is asked who is next."""
    rules, log = run.rules, run.log
    met = run.met
    if met is None and not run.meter.counts and (rules.limit is None or log.rounds < rules.limit):
        return None
    found = [met] if met is not None else []
    if run.meter.counts and (told := run.meter.over(run.now, _together(run))) is not None:
        found.append(StopReason("budget", rules.manager.name, told))
    if rules.limit is not None and log.rounds >= rules.limit:
        told = f"{rules.limit} {'round' if rules.limit == 1 else 'rounds'}, the opening one counted"
        if rules.limit_kind == "max_turns":
            told = f"max_turns={rules.limit // 2}: each of the two has had so many turns"
        found.append(StopReason(rules.limit_kind, rules.manager.name, told))
    return first_of(found)


def _together(run: Run) -> tuple[str, ...]:
    """Who will speak at once in the next turn, as far as that is known before it is decided: nobody in particular."""
    rules = run.rules
    if rules.protocol is not None or rules.selector.method == "all":
        return run.floor.active
    return run.floor.active[: rules.selector.together]


def candidates(run: Run) -> tuple[str, ...]:
    """Who may speak now, in the order of the seats. SpeakerSelectionError when a filter raises."""
    names = run.floor.candidates(run.log.floor)
    rules, meter = run.rules, run.meter
    if not meter.has_seats and not rules.eligibility:
        return names
    if meter.has_seats:
        chairs = run.floor.chairs
        names = tuple(
            name
            for name in names
            if meter.seat_over(name, run.now, remote=chairs[name].speaker.kind == "remote") is None
        )
    for allows in rules.eligibility:
        view = RoomView(tuple(run.floor.chairs.values()), run.log, rules.limit)
        label = getattr(allows, "__name__", "the filter")
        try:
            names = tuple(name for name in names if allows(run.floor.chairs[name].original, view))
        except Exception as error:  # the user's code: the conversation stops, and is kept
            raise SpeakerSelectionError(f"{label} {raised(error)}") from None
    return names


def choose_at_once(run: Run, names: tuple[str, ...]) -> Decision | StopReason | None:
    """The decision, if no function, model or person is needed for it; a reason to stop if there are no candidates."""
    rules, floor, log = run.rules, run.floor, run.log
    if rules.protocol is not None:
        return next_in(rules.protocol, run, names)
    last, handover = log.floor, log.handover
    if not names:
        for name in floor.candidates(last) if run.meter.has_seats else ():
            is_remote = floor.chairs[name].speaker.kind == "remote"
            if (told := run.meter.seat_over(name, run.now, remote=is_remote)) is not None:
                return StopReason("budget", name, told)
        return StopReason("no_speaker", rules.manager.name, f"nobody may speak after {last}" if last else "no speakers")
    selector = rules.selector
    method = selector.method
    if method == "all":
        return Decision(names, names[0], "all", also=names[1:])
    if method == "round_robin":
        return floor.round_robin(last, names, selector.together)
    if method == "random":
        return at_random(names, run.chance(), selector.together)
    if method == "auto" and handover is not None and (to := floor.find(handover)) in names:
        return Decision(names, to, "handover", f"{last} handed over")
    if method == "auto" and len(names) == 1 and not log.replies:  # a manager may not end before anybody has answered
        return Decision(names, names[0], "only_candidate")
    return None


def with_handover(run: Run, why: Decision) -> Decision:
    """The decision, and in its reason why whoever the last speaker handed over to was not chosen."""
    log, to = run.log, run.log.handover
    if to is None or why.chosen == END or why.chosen_by == "handover":
        return why
    seat = run.floor.find(to)
    if seat in why.speakers:
        return why
    told = "has no seat here" if seat is None else "may not speak now"
    if seat in why.candidates:
        told = f"is not asked: speakers are chosen by {why.chosen_by}"
    told = f"{log.floor} hands over to {to[:_LONGEST_NAME]!r}, who {told}"
    return replace(why, reason=f"{why.reason}{HANDED}{told}" if why.reason else told)


async def choose(run: Run, names: tuple[str, ...]) -> tuple[Decision | StopReason | None, Usage | None]:
    """The decision of a function or a model, and what it used; None: a person must be asked."""
    rules, floor, log = run.rules, run.floor, run.log
    if rules.protocol is not None:
        return await ask_judge(rules.protocol, run), None
    selector = rules.selector
    method = selector.method
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
    if method == "all":
        return Decision(names, names[0], "all", also=names[1:]), None
    if method == "round_robin":
        return floor.round_robin(log.floor, names, selector.together), None
    if method == "random":
        return at_random(names, run.chance(), selector.together), None
    model = selector.model or rules.model
    if model is None:
        needed = "speaker selection 'auto' needs a model: GroupChatManager(groupchat, llm_config=...)"
        return StopReason("selection_failed", rules.manager.name, needed), None
    asked = Question(floor, log, names, run.may_end, rules.manager.name, selector)
    return await by_model(model, asked)
