"""Whether words say anything new: thanks and goodbyes, empty echoes, and how alike two messages are.

A room that is down to courtesies ends by itself: four messages of seats in a row, each of them nothing but thanks or
a goodbye, or word for word what somebody else has just said and the speaker has said too since anything else was
said. (Once around is a vote, and no echo.) Words of a person, and anything longer than a short line, begin the count
anew. English only; a room in another language has its round limit, and `Repeats`.
"""

import re
from collections import Counter
from typing import NamedTuple

from a2a_bridge.chat.entry import Entry, StopReason

IN_A_ROW = 4
_LONGEST = 100
_WORD = re.compile(r"\w+(?:'\w+)?")
_CORE = {
    "thank", "thanks", "thx", "welcome", "bye", "goodbye", "farewell", "pleasure", "cheers", "likewise", "anytime",
}  # fmt: skip
_AROUND = """
    you your you're youre so very much again all everyone everybody team and too also to as well have a an the great
    nice good lovely wonderful day evening week one time my our is was it it's i i'm we we're am are glad happy could
    be of help assist for that this see soon later take care ok okay yes no problem always if any need more further
    anything else let me us know best wishes regards
"""
_HINT = re.compile("|".join(_CORE), re.IGNORECASE)
_ALLOWED = _CORE.union(_AROUND.split())


class Courtesy(NamedTuple):
    """How many `times` in a row nothing but courtesy was said; the short message before, who said it last, and who has
    said it since anything else was said."""

    times: int
    before: str
    by: str
    echoed: frozenset[str]

    def step(self, entry: Entry) -> "Courtesy":
        """After one more message."""
        assert entry.message is not None
        assert entry.speaker is not None
        parts = entry.message.parts
        text = parts[0].text if len(parts) == 1 else None
        if text is None or len(text) > _LONGEST or entry.speaker.kind == "human" or not entry.turn:
            return NO_COURTESY
        name = entry.speaker.name
        if text != self.before:
            return Courtesy(self.times + 1 if is_courtesy(text) else 0, text, name, frozenset((name,)))
        is_echo = (name != self.by and name in self.echoed) or is_courtesy(text)
        return Courtesy(self.times + 1 if is_echo else 0, text, name, self.echoed | {name})

    def verdict(self) -> StopReason | None:
        """The reason to stop, if nothing else is said any more."""
        if self.times < IN_A_ROW:
            return None
        return StopReason("terminated", self.by, f"the last {self.times} messages were courtesies and echoes")


NO_COURTESY = Courtesy(0, "", "", frozenset())


def is_courtesy(text: str) -> bool:
    """Whether a message thanks, takes leave, and says nothing else."""
    if _HINT.search(text) is None:  # most messages: a look costs less than taking them apart
        return False
    words = _WORD.findall(text.casefold().replace("\u2019", "'"))
    return not _CORE.isdisjoint(words) and _ALLOWED.issuperset(words)


def words_in(text: str) -> Counter[str]:
    """How often which word is in a text."""
    return Counter(_WORD.findall(text.casefold()))


def likeness(one: Counter[str], other: Counter[str]) -> float:
    """The share of words that two texts have in common, between 0 and 1; two without any words are alike."""
    total = one.total() + other.total()
    return (one & other).total() * 2 / total if total else 1.0
