"""What the demo can be told; standard library only, so that `scripts/demo --help` needs no set-up."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

QUESTION = "Identify 3 emerging SA fintech trends. Researcher proposes; critic challenges; reach consensus."
ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Options:
    """One run of the demo. `crewai_python` is an interpreter that has crewai, if it is not the running one. `tour`:
    another programme than the conversation (see `tour.py`)."""

    question: str = QUESTION
    rounds: int = ROUNDS
    json: bool = False
    crewai_python: str | None = None
    tour: bool = False


def parse(arguments: Sequence[str], prog: str = "demo") -> Options:
    """The options on a command line; on a mistake, and for --help, the process ends as argparse ends it."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Agents of several frameworks, each in its own process behind its own A2A endpoint, in one"
        " conversation. With OPENAI_API_KEY or OPENAI_BASE_URL (and OPENAI_MODEL) set, the agents use that model;"
        " otherwise a very small one on this machine.",
    )
    parser.add_argument("--question", help=f"what the room is asked (default: {QUESTION})")
    parser.add_argument("--rounds", type=_rounds, metavar="N", help=f"turns at most (default: {ROUNDS})")
    parser.add_argument("--json", action="store_true", help="one JSON object per entry of a room's log, nothing else")
    parser.add_argument(
        "--tour",
        action="store_true",
        help="instead of the conversation: a tool call, code in a sandbox, a question to a person, and a room that is"
        " killed and goes on; there is no crew in it",
    )
    parser.add_argument(
        "--crewai-python", metavar="PATH", help="an interpreter that has crewai (default: this one, if it has)"
    )
    told = parser.parse_args(list(arguments))
    if told.question is not None and not told.question.strip():
        parser.error("--question is empty")
    if told.tour and (told.question is not None or told.rounds is not None):
        parser.error("--question and --rounds are about the conversation, which --tour does not have")
    return Options(told.question or QUESTION, told.rounds or ROUNDS, told.json, told.crewai_python, told.tour)


def _rounds(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100")
    return int(text)
