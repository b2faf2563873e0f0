"""The demo's room and its agents, with a model that is told what to say."""

import json
from contextlib import aclosing

from a2a_bridge.agent import OutcomeFold
from a2a_bridge.chat.entry import Entry
from a2a_bridge.demo.endpoint import EMBEDDED, Endpoint
from a2a_bridge.demo.langgraph_agent import build_graph
from a2a_bridge.demo.prompt import Quoting
from a2a_bridge.demo.roles import CRITIC, PLANNER, RESEARCHER
from a2a_bridge.demo.room import build_room
from a2a_bridge.testing.fake_model import Conversation, Said
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import make_message, make_turn
from adapters.langgraph.adapter import ADAPTER


def rambling(asked: Conversation) -> Said:
    """Chooses nobody, and otherwise repeats the last line it was told."""
    if "who speaks next" in asked.lines[0].text:
        return Said(text='{"roles": [{"name": "critic", "descr')
    return Said(text=f"{asked.last_user.splitlines()[-1]} And so")


async def entries_of(fake: FakeOpenAI, model: str, rounds: int) -> list[Entry]:
    manager = build_room(Endpoint(model, fake.base_url, "key"), [], rounds)
    async with aclosing(manager.stream("Find trends. Reach consensus.")) as said:
        return [each async for each in said if isinstance(each, Entry)]


async def test_a_very_small_model_is_asked_and_then_the_rule_chooses_and_says_so() -> None:
    """Demanded by the issue: selection falls back to the deterministic rule, and says so."""
    with FakeOpenAI(rambling) as fake:
        entries = await entries_of(fake, EMBEDDED, 3)
        requests = [seen.body for seen in fake.requests]
    decided = [entry.why for entry in entries if entry.kind == "decided" and entry.why]
    assert [why.chosen for why in decided] == ["researcher", "critic", "researcher"]
    assert decided[0].chosen_by == "fallback"
    assert decided[0].rejected
    chosen = [body for body in requests if body.get("max_tokens") == 24]
    assert chosen
    assert all("response_format" not in body for body in chosen)
    assert all(len(json.loads(body["messages"][-1]["content"])["conversation"]) == 1 for body in chosen)


async def test_a_very_small_model_hears_one_question_a_turn_and_sums_up_in_whole_sentences() -> None:
    """Demanded by the issue: prompts are built from `turn.messages`; usage is told."""
    with FakeOpenAI(rambling) as fake:
        entries = await entries_of(fake, EMBEDDED, 3)
    said = [entry for entry in entries if entry.kind == "said" and entry.turn]
    assert [entry.text for entry in said] == [RESEARCHER.question, CRITIC.question, RESEARCHER.again]
    assert all(entry.usage and entry.usage.output_tokens for entry in said)
    assert entries[-1].text == f"researcher: {RESEARCHER.again}"


async def test_the_graph_hears_only_the_last_message_from_a_very_small_model() -> None:
    """Demanded by the issue: the last message, quoted, and one question of its own."""
    with FakeOpenAI(rambling) as fake:
        graph = build_graph(Endpoint(EMBEDDED, fake.base_url, "key"))
        agent = Quoting(ADAPTER.adapt(graph, name=PLANNER.name, description=PLANNER.description), PLANNER)
        turn = make_turn(
            make_message("Wallets grow.", speaker="researcher"), history=[make_message("Trends.", speaker="human")]
        )
        fold = OutcomeFold()
        async with aclosing(agent.run(turn)) as replies:
            async for reply in replies:
                fold.add(reply)
        (request,) = fake.requests
    assert [message["role"] for message in request.body["messages"]] == ["system", "user"]
    asked = request.body["messages"][1]["content"]
    assert asked == f'Topic: Trends.\nThe researcher said: "Wallets grow."\n{PLANNER.question}'
    assert fold.outcome().text == PLANNER.question
    assert fold.outcome().usage.output_tokens > 0


async def test_a_usual_model_gets_the_conversation_as_it_is() -> None:
    """Our decision: the cure for a very small model is no way to treat others."""
    with FakeOpenAI() as fake:
        agent = ADAPTER.adapt(build_graph(Endpoint("usual", fake.base_url, "key")))
        turn = make_turn("Wallets grow.", history=[make_message("Trends.")])
        async with aclosing(agent.run(turn)) as replies:
            assert [reply async for reply in replies]
        (request,) = fake.requests
    assert [message["content"] for message in request.body["messages"][1:]] == ["Trends.", "Wallets grow."]
