"""Why a room went as it did, in words: each choice of a speaker, each failure, question and stop.

For whoever runs the room: it may hold the text of an exception and what a model answered.
"""

from collections.abc import Iterable, Iterator

from a2a_bridge.chat.entry import END, Decision, Entry, StopReason
from a2a_bridge.chat.log import RERUN
from a2a_bridge.chat.settle import LATE

_HOW = {
    "auto": "a model chose", "round_robin": "whose turn it is in the order of the seats", "random": "by chance",
    "manual": "a person chose", "function": "a function chose", "only_candidate": "nobody else could",
    "handover": "the speaker before handed over", "fallback": "silent for longest, because the choice failed",
    "all": "everybody speaks", "debate": "everybody answers", "judge": "the judge is asked",
}  # fmt: skip
_LONGEST = 200


def explain(entries: Iterable[Entry]) -> str:
    """One paragraph for each thing that was decided, in the order in which it happened."""
    return "\n".join(line for entry in entries for line in _lines(entry)) + "\n"


def _lines(entry: Entry) -> Iterator[str]:
    who = entry.speaker.name if entry.speaker is not None else "somebody"
    at = f"{entry.seq:>4}  "
    if entry.kind == "decided" and entry.why is not None:
        yield from _chosen(at, entry.why)
    elif entry.kind == "stopped" and entry.stop is not None:
        yield at + _stopped(entry.stop)
    elif entry.kind == "failed":
        again = ", and is asked again" if RERUN in entry.flags else ""
        yield f"{at}{who} fails at attempt {entry.attempt}{again}: {_short(entry.detail)}"
    elif entry.kind == "passed":
        why = "is not waited for: enough others had answered" if LATE in entry.flags else "has nothing to say"
        yield f"{at}{who} {why}{f': {entry.detail}' if entry.detail else ''}"
    elif entry.kind == "asked":
        yield f"{at}{who} asks: {_short(entry.text)}"
    elif entry.kind == "answered":
        yield f"{at}{who} answers: {_short(entry.text)}"
    elif entry.kind in ("joined", "left"):
        told = ", with another card than before" if "card_changed" in entry.flags else ""
        told = ", with the card that was accepted" if "card_accepted" in entry.flags else told
        yield f"{at}{who} {'takes a seat' if entry.kind == 'joined' else 'leaves'}{told}"
    else:
        yield f"{at}{who} {'says' if entry.kind == 'said' else 'notes'}: {_short(entry.text)}"
        yield from _said(entry)


def _chosen(at: str, why: Decision) -> Iterator[str]:
    how = _HOW.get(why.chosen_by, why.chosen_by)
    if why.chosen == END:
        yield f"{at}nobody is next, {how}: {why.reason or 'no reason given'}"
    else:
        reason = f": {_short(why.reason)}" if why.reason else ""
        yield f"{at}next {', '.join(why.speakers)}, {how}{reason}"
    yield f"      candidates: {', '.join(why.candidates) or 'nobody'}"
    for answer in why.rejected:
        yield f"      rejected: {_short(answer)}"


def _said(entry: Entry) -> Iterator[str]:
    if "impersonation_suspected" in entry.flags:
        yield "      a line that imitates another speaker is escaped"
    activity = (entry.heard or {}).get("activity")
    for one in activity if isinstance(activity, list) else ():
        if isinstance(one, list) and one[0] == "call":
            yield f"      called {one[2]} with {_short(str(one[3]))}"
        elif isinstance(one, list):
            yield f"      which {'failed' if one[3] else 'gave'}: {_short(str(one[2]))}"


def _stopped(stop: StopReason) -> str:
    by = f" by {stop.by}" if stop.by else ""
    also = f"; {', '.join(stop.also)} would have ended it too" if stop.also else ""
    return f"ended{by} ({stop.kind}){f': {stop.detail}' if stop.detail else ''}{also}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
