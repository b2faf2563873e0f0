"""How the demo's agents put what they heard to a very small model."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import OutcomeFold, Turn
from a2a_bridge.demo.prompt import Quoting, prompt_for, statements, without_unfinished
from a2a_bridge.demo.roles import CRITIC, RESEARCHER
from a2a_bridge.protocol.extensions import speaker_metadata
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.turns import make_message, make_turn


def part(text: str, speaker: str) -> Part:
    return Part(text=text, metadata=speaker_metadata(speaker))


async def test_a_prompt_quotes_the_first_sentence_of_the_last_statement_and_asks_one_question() -> None:
    """Demanded by the issue: prompts are built from `turn.messages`, the last message quoted, one question."""
    turn = make_turn(
        make_message("Find trends. Reach consensus.", speaker="human"),
        make_message("Wallets grow. They grow fast.", speaker="researcher"),
    )
    assert await prompt_for(turn, CRITIC) == (
        f'Topic: Find trends.\nThe researcher said: "Wallets grow."\n{CRITIC.question}'
    )


async def test_the_first_speaker_gets_the_topic_alone() -> None:
    """Our decision: a topic that is also quoted is copied."""
    turn = make_turn(make_message("Find trends.", speaker="human"))
    assert await prompt_for(turn, CRITIC) == f"Topic: Find trends.\n{CRITIC.question}"


async def test_whoever_has_spoken_before_goes_on_with_another_question() -> None:
    """Our decision: asked the same thing about a long quotation, the model copies it."""
    turn = make_turn(
        make_message("Prove it.", speaker="critic"), history=[make_message("Find trends.", speaker="human")]
    )
    assert await prompt_for(turn, RESEARCHER) == f"Topic: Find trends.\n{RESEARCHER.again}"


def test_several_speakers_in_one_message_are_told_apart() -> None:
    """Our decision: a remote seat gets all that is new in one message, each part with its speaker."""
    message = make_message([part("[human] Find trends.", "human"), part("[critic] Prove it.", "critic")])
    assert list(statements([message])) == [("human", "Find trends."), ("critic", "Prove it.")]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Whole. Also whole.", "Whole. Also whole."),
        ("Whole. Not who", "Whole."),
        ("no sentence at all", "no sentence at all"),
        ("", ""),
        ('He said: "so."', 'He said: "so."'),
    ],
)
def test_an_unfinished_last_sentence_is_cut(said: str, kept: str) -> None:
    """Our decision: the model's answers end at a number of tokens."""
    assert without_unfinished(said) == kept


async def test_an_agent_that_was_cut_short_takes_its_last_words_back() -> None:
    """Our decision: they were streamed already, so the artifact is replaced."""

    async def speak(turn: Turn) -> AsyncIterator[str]:
        for word in ("Heard: ", turn.text.partition("\n")[0], " And the", " next"):
            yield word

    fold = OutcomeFold()
    agent = Quoting(adapt(speak, name="critic"), CRITIC)
    async with aclosing(agent.run(make_turn(make_message("Find trends.", speaker="human")))) as replies:
        async for reply in replies:
            fold.add(reply)
    assert fold.outcome().text == "Heard: Topic: Find trends."
    assert (agent.name, agent.traits.framework) == ("critic", "python")
