"""Who takes part in the demo, in words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Role:
    """An agent of the demo: what it is told to be, and the one question that it answers in each turn if its model is
    very small; `again` is the question of its later turns, where that is another one."""

    name: str
    description: str
    system: str
    question: str
    again: str = ""


RESEARCHER = Role(
    "researcher",
    "Proposes trends and says why they grow.",
    "You research South African fintech trends with rigor.",
    "Name one trend and say why it grows. Answer in two short sentences.",
    "Name one more trend and say why it grows. Answer in two short sentences.",
)
CRITIC = Role(
    "critic",
    "Challenges weak claims and asks for evidence.",
    "You challenge weak claims and ask for evidence.",
    "What is one weakness of this claim? Answer in two short sentences.",
)
PLANNER = Role(
    "planner",
    "Turns a discussion into practical next steps.",
    "You are a practical planner. You turn what was said into a next step that somebody can take tomorrow.",
    "What is one practical next step? Answer in two short sentences.",
)
MARKET_CREW = Role(
    "market_crew",
    "Says what a development means for customers.",
    "You have watched customers for twenty years.",
    "What does this mean for customers? Answer in two short sentences.",
)
