"""Whether words say anything new: thanks and goodbyes, empty echoes, and how alike two messages are.

A room that is down to courtesies ends by itself: four messages of seats in a row, each of them nothing but thanks or
a goodbye, or word for word what somebody else has just said and the speaker has said too since anything else was
said. (Once around is a vote, and no echo.) Words of a person, and anything longer than a short line, begin the count
anew. English only; a room in another language has its round limit, and `Repeats`.
"""

import re
from collections import Counter

from a2a_bridge.chat.entry import Entry, StopReason

IN_A_ROW = 4
_LONGEST = 100
_PUNCTUATION = ".,;:!?()*_~-'\"\u2018\u2019\u201c\u201d"
_WORD = re.compile(r"\w+(?:'\w+)?")
_CORE = {
    "thank", "thanks", "thx", "welcome", "bye", "goodbye", "farewell", "pleasure", "cheers", "likewise", "anytime",
}  # fmt: skip
_AROUND = """
    you your you're so very much again all everyone everybody team and too also to as well have a an the great nice good
    lovely wonderful day evening week one time my our is was it it's i i'm we we're am are glad happy could be of help
    assist for that this see soon later take care ok okay yes no problem always if any need more further anything else
    let me us know best wishes regards
"""
_ALLOWED = _CORE.union(_AROUND.split())


Courtesy = tuple[int, str, str, tuple[str, ...]]
"""How many messages in a row were nothing but courtesy; the short message before, who said it last, and who has said it
since anything else was said. A plain tuple: there is a new one for each message of a room."""
NO_COURTESY: Courtesy = (0, "", "", ())


def after(state: Courtesy, text: str, entry: Entry) -> Courtesy:
    """The state after one more message."""
    speaker = entry.speaker
    if len(text) > _LONGEST or not entry.turn or speaker is None or speaker.kind == "human":
        return NO_COURTESY
    times, before, by, echoed = state
    name = speaker.name
    if text != before:
        return (times + 1 if is_courtesy(text) else 0), text, name, (name,)
    is_echo = (name != by and name in echoed) or is_courtesy(text)
    return (times + 1 if is_echo else 0), text, name, echoed if name in echoed else (*echoed, name)


def down_to_courtesies(state: Courtesy) -> StopReason | None:
    """The reason to stop, if nothing else is said any more."""
    if state[0] < IN_A_ROW:
        return None
    return StopReason("terminated", state[2], f"the last {state[0]} messages were courtesies and echoes")


def is_courtesy(text: str) -> bool:
    """Whether a message thanks, takes leave, and says nothing else."""
    found = False
    for each in text.split():
        word = each.strip(_PUNCTUATION).casefold().replace("\u2019", "'")
        if word not in _ALLOWED:
            if any(map(str.isalnum, word)):
                return False
        elif word in _CORE:
            found = True
    return found


def words_in(text: str) -> Counter[str]:
    """How often which word is in a text."""
    return Counter(_WORD.findall(text.casefold()))


def likeness(one: Counter[str], other: Counter[str]) -> float:
    """The share of words that two texts have in common, between 0 and 1; two without any words are alike."""
    total = one.total() + other.total()
    return (one & other).total() * 2 / total if total else 1.0
