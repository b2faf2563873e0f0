"""Choosing a speaker with a model: strict about answers, never stuck, always one of the candidates."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a2a_bridge.adaptation import FunctionAgent
from a2a_bridge.agent import Turn
from a2a_bridge.chat.entry import END
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.speaker import Selector, parse_choice
from a2a_bridge.errors import ChatError, SpeakerSelectionError
from a2a_bridge.testing.model import ScriptedModel

OPTIONS = ["research_lead", "critic", END]


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ('{"next": "critic", "reason": "r"}', "critic"),
        ('```json\n{"next": "Critic", "reason": "r"}\n```', "critic"),
        ('Sure! {"next": " critic. ", "reason": "r"} Hope that helps.', "critic"),
        ("critic", "critic"),
        ("**Critic**.", "critic"),
        ("Next speaker: research\\_lead", "research_lead"),
        ("research\\_lead", "research_lead"),
        ("next: END", END),
        ("end", END),
        ("@critic", "critic"),
        ("ｃｒｉｔｉｃ", "critic"),
    ],
)
def test_sloppy_answers_that_name_one_candidate_are_understood(answer: str, chosen: str) -> None:
    """Demand 1. AutoGen issues 663, 842, 1064: spaces, escapes, decoration."""
    assert parse_choice(answer, OPTIONS)[0] == chosen


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        ("", "the answer is empty"),
        ("critic or research_lead", "which is none of research_lead, critic, END"),
        ('{"next": "nobody"}', "\"next\" is 'nobody', which is none of"),
        ('{"reason": "because"}', 'the JSON object has no text under "next"'),
        ('{"next": ["critic"]}', 'no text under "next"'),
        ('{"next": "critic"', "not valid JSON"),
        ("I think the critic should challenge that", "which is none of"),
        ("TERMINATE", "which is none of"),
    ],
)
def test_answers_that_name_nobody_are_refused_with_the_exact_reason(answer: str, trouble: str) -> None:
    """Semantics 6; demand 1. Ours: no guessing; what is wrong goes back to the model."""
    with pytest.raises(SpeakerSelectionError) as raised:
        parse_choice(answer, OPTIONS)
    assert trouble in raised.value.message


async def test_the_model_is_asked_again_with_the_exact_error(room: Any, puppet: Any) -> None:
    """AutoGen: max_retries_for_selecting_speaker."""
    model = ScriptedModel(["zoe", '{"next": "b"', '{"next": "b", "reason": "third time"}'])
    result = await room(puppet("a"), puppet("b"), llm_config=model, max_round=2).chat("go")
    decision = result.decisions[0]
    assert (decision.chosen, decision.chosen_by, decision.reason) == ("b", "auto", "third time")
    assert [text.split(":")[0] for text in decision.rejected] == ["'zoe'", '\'{"next"']
    again = model.calls[1].messages
    assert [said["role"] for said in again] == ["system", "user", "assistant", "user"]
    assert "That cannot be used: the answer is 'zoe', which is none of a, b." in again[3]["content"]


async def test_after_the_retries_the_longest_silent_candidate_speaks_and_it_is_said(room: Any, puppet: Any) -> None:
    """Semantics 6; demand 2. Ours: the fallback is deterministic, and never livelocks (AutoGen issue 7471)."""
    model = ScriptedModel(["?", "?", '{"next": "a", "reason": ""}', "?"])
    result = await room(
        puppet("a"), puppet("b"), puppet("c"), llm_config=model, max_retries_for_selecting_speaker=1, max_round=5,
        allow_repeat_speaker=False,
    ).chat("go")  # fmt: skip
    chosen = [(decision.chosen, decision.chosen_by) for decision in result.decisions]
    assert chosen == [("a", "fallback"), ("b", "fallback")]
    assert result.decisions[0].reason == "no answer of the model could be used"
    assert result.decisions[0].candidates == ("a", "b", "c")


async def test_two_fallbacks_in_a_row_stop_the_room(room: Any, puppet: Any) -> None:
    """Semantics 6; demand 2. Ours: a chooser that does not work is said, not hidden."""
    result = await room(puppet("a"), puppet("b"), llm_config=ScriptedModel(lambda said: "?")).chat("go")
    assert result.stop.kind == "selection_failed"
    assert [decision.chosen_by for decision in result.decisions] == ["fallback", "fallback"]
    assert len(result.messages) == 2


async def test_a_fallback_that_was_foreseen_goes_on_and_gives_everybody_a_turn(room: Any, puppet: Any) -> None:
    """Issue 2: the room on the embedded model."""
    result = await room(
        puppet("a"), puppet("b"), puppet("c"), max_round=7, llm_config=ScriptedModel(lambda said: "?"),
        speaker_selection_method=Selector("auto", max_retries=0, on_failure="fallback"),
    ).chat("go")  # fmt: skip
    assert [decision.chosen for decision in result.decisions] == ["a", "b", "c", "a", "b", "c"]
    assert result.stop.kind == "max_round"


async def test_a_choice_that_works_in_between_starts_the_count_again(room: Any, puppet: Any) -> None:
    """Ours: in a row means in a row."""
    model = ScriptedModel(["?", '{"next": "b", "reason": ""}', "?", '{"next": "END", "reason": ""}'])
    result = await room(puppet("a"), puppet("b"), llm_config=model, max_retries_for_selecting_speaker=0).chat("go")
    assert result.stop.kind == "converged"


async def test_a_model_that_cannot_be_asked_is_not_asked_again(room: Any, puppet: Any) -> None:
    """Ours: its client has retried already. What it raised stays in the log and out of the reason."""
    model = ScriptedModel([ChatError("secret host is down"), '{"next": "END", "reason": ""}'])
    result = await room(puppet("a"), puppet("b"), llm_config=model).chat("go")
    decision = result.decisions[0]
    assert (decision.chosen_by, decision.reason) == ("fallback", "the model could not be asked")
    assert decision.rejected == ("no answer: secret host is down",)


async def test_a_single_candidate_needs_no_model_before_somebody_has_answered(room: Any, puppet: Any) -> None:
    """Ours: the manager's right to end comes with the first answer, and then it is asked also about one candidate."""
    model = ScriptedModel(['{"next": "END", "reason": "fine"}'])
    result = await room(puppet("a"), llm_config=model).chat("go")
    assert [decision.chosen_by for decision in result.decisions] == ["only_candidate", "auto"]


async def say(turn: Turn) -> str:
    return "words"


@settings(max_examples=60, deadline=None)
@given(
    answers=st.lists(
        st.one_of(
            st.sampled_from(["a", "b", "c", "d", "END", "human", "", "{}", '{"next": 1}']),
            st.sampled_from("abcd").map(lambda name: json.dumps({"next": name, "reason": "r"})),
            st.text(max_size=20),
        ),
        min_size=1,
        max_size=12,
    ),
    repeats=st.booleans(),
    seats=st.integers(1, 4),
    data=st.data(),
)
def test_the_speaker_is_always_one_of_the_candidates(
    answers: list[str], repeats: bool, seats: int, data: st.DataObject
) -> None:
    """Semantics 6; demand 2. Ours: the invariant of speaker selection, whatever the model says."""
    names = "abcd"[:seats]
    table = data.draw(
        st.none() | st.dictionaries(st.sampled_from(names), st.lists(st.sampled_from(names), unique=True))
    )
    count = iter(range(10**6))
    model = ScriptedModel(lambda said: answers[next(count) % len(answers)])
    chat = GroupChat(
        [FunctionAgent(say, name=name) for name in names],
        max_round=8,
        speaker_selection_method=Selector("auto", max_retries=1, on_failure="fallback"),
        allow_repeat_speaker=repeats,
        allowed_or_disallowed_speaker_transitions=table,
        speaker_transitions_type=None if table is None else "allowed",
    )
    result = asyncio.run(GroupChatManager(chat, llm_config=model).chat("go"))
    last = None
    for decision in result.decisions:
        if decision.chosen == END:
            continue
        assert decision.chosen in decision.candidates
        assert repeats or decision.chosen != last
        if table is not None and last is not None:
            assert decision.chosen in table.get(last, [])
        last = decision.chosen
