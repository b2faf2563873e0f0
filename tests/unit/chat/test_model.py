"""Models: what is sent to an OpenAI-compatible endpoint, and what happens when it does not answer."""

import asyncio
import gc
import warnings
from contextlib import aclosing
from typing import Any, ClassVar

import pytest

from a2a_bridge.agent import Usage
from a2a_bridge.chat.classic import model_from
from a2a_bridge.chat.conversable import ConversableAgent
from a2a_bridge.chat.model import FallOver, Model, OpenAIModel, ask_model
from a2a_bridge.errors import ChatError
from a2a_bridge.testing.fake_model import Conversation, Said
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.model import ScriptedModel
from a2a_bridge.testing.turns import make_message, make_turn, replies_of


@pytest.fixture
def server() -> Any:
    with FakeOpenAI() as fake:
        yield fake


def at(server: FakeOpenAI, **config: Any) -> Model:
    found = model_from({"model": "m", "base_url": server.base_url, **config})
    assert found is not None
    return found


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


async def test_words_come_one_by_one_and_then_the_usage(server: FakeOpenAI) -> None:
    """Issue 2: model calls through openai, streaming."""
    async with aclosing(at(server, price=[1.0, 2.0]).stream(user("SAY one two three"))) as pieces:
        found = [piece async for piece in pieces]
    assert [piece for piece in found if isinstance(piece, str)] == ["one ", "two ", "three"]
    usage = found[-1]
    assert isinstance(usage, Usage)
    assert usage.model == "m"
    assert usage.cost_usd == pytest.approx((usage.input_tokens + 2 * usage.output_tokens) / 1000)


@pytest.mark.parametrize("status", ["429", "500"])
async def test_a_call_that_was_refused_for_now_is_made_again(server: FakeOpenAI, status: str) -> None:
    """Issue 2: retries on 429 and 5xx."""
    text, _ = await ask_model(at(server), user(f"FAIL{status}ONCE"))
    assert text == "Recovered."
    assert len(server.requests) == 2


async def test_after_the_retries_the_error_says_what_happened(server: FakeOpenAI) -> None:
    """Ours: speak plainly."""
    with pytest.raises(ChatError, match=r"the model 'm' at http://127\.0\.0\.1:\d+/v1 answered with HTTP 500"):
        await ask_model(at(server, max_retries=1), user("FAIL500"))
    assert len(server.requests) == 2


async def test_a_key_that_an_endpoint_repeats_is_not_told(server: FakeOpenAI) -> None:
    """Ours: the error is told to the room."""
    with pytest.raises(ChatError) as raised:
        await ask_model(at(server, max_retries=0, api_key="asked for"), user("FAIL500"))
    assert raised.value.message.endswith("the test (the key) 500")


async def test_an_endpoint_that_is_not_there_is_named() -> None:
    """Ours: speak plainly."""
    model = model_from({"model": "m", "base_url": "http://127.0.0.1:9/v1", "max_retries": 0, "timeout": 5})
    assert model is not None
    with pytest.raises(ChatError, match="could not be asked"):
        await ask_model(model, user("hi"))


async def test_the_next_of_a_config_list_is_asked_when_one_cannot_be_used(server: FakeOpenAI) -> None:
    """AutoGen: config_list, fall-over in order."""
    model = model_from(
        {
            "config_list": [
                {"model": "first", "base_url": "http://127.0.0.1:9/v1"},
                {"model": "second", "base_url": server.base_url},
            ],
            "temperature": 0.5,
            "max_retries": 0,
        }
    )
    assert isinstance(model, FallOver)
    assert model.name == "first"
    text, usage = await ask_model(model, user("SAY hello"))
    assert (text, usage.model) == ("hello", "second")
    assert server.requests[0].body["temperature"] == 0.5


async def test_when_none_can_be_used_all_reasons_are_given() -> None:
    """Ours: the first reason alone would mislead."""
    model = FallOver((ScriptedModel([ChatError("one")]), ScriptedModel([ChatError("two")])))
    with pytest.raises(ChatError, match="none of the models could be used: one; two"):
        await ask_model(model, user("hi"))


async def test_a_model_that_has_said_something_is_not_replaced_in_mid_sentence() -> None:
    """Ours: two half answers are no answer."""

    class Breaks:
        name = "breaks"

        async def stream(self, messages: Any, *, schema: Any = None) -> Any:
            yield "half a "
            raise ChatError("cut")

    with pytest.raises(ChatError, match="cut"):
        await ask_model(FallOver((Breaks(), ScriptedModel(["whole"]))), user("hi"))


async def test_an_endpoint_that_takes_no_schema_is_asked_without_one() -> None:
    """Ours: models without JSON mode are held to the prompt instead."""

    def say(asked: Conversation) -> Said:
        return Said(failure=400) if asked.schema is not None else Said(text="plain")

    with FakeOpenAI(say) as server:
        text, _ = await ask_model(at(server), user("hi"), schema={"type": "object"})
        assert text == "plain"
        assert ["response_format" in request.body for request in server.requests] == [True, False]


async def test_cancelling_a_turn_hangs_up_on_the_model() -> None:
    """Issue 2: cancel goes through."""
    with FakeOpenAI(pace=30) as server:
        agent = ConversableAgent("bot", llm_config=at(server), human_input_mode="NEVER")

        async def drive() -> None:
            await replies_of(agent, make_turn("SLOW"))

        task = asyncio.create_task(drive())
        await server.until(lambda fake: fake.open == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until(lambda fake: fake.aborted == 1)


def test_each_event_loop_has_a_client_that_ends_with_it(server: FakeOpenAI, recwarn: Any) -> None:
    """Ours: `initiate_chat` twice in one program, nothing left open."""
    model = at(server)
    for _ in range(2):
        assert asyncio.run(ask_model(model, user("SAY hi")))[0] == "hi"
    assert [str(warning.message) for warning in recwarn if issubclass(warning.category, ResourceWarning)] == []


async def test_calls_of_one_loop_share_a_client(server: FakeOpenAI) -> None:
    """Ours: one pool of connections a loop, also for turns at once."""
    model = at(server)
    answers = await asyncio.gather(*(ask_model(model, user(f"SAY {n}")) for n in range(8)))
    assert [text for text, _ in answers] == [str(n) for n in range(8)]


async def test_the_environment_says_what_the_config_does_not(
    server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 2: without api_key the variables of openai apply."""
    monkeypatch.setenv("OPENAI_API_KEY", "from-env")
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    await ask_model(OpenAIModel("m"), user("hi"))
    sent = {name.lower(): value for name, value in server.requests[0].headers.items()}
    assert sent["authorization"] == "Bearer from-env"


async def test_without_any_key_the_error_says_where_to_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a message that teaches."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ChatError, match="set OPENAI_API_KEY, or llm_config"):
        await ask_model(OpenAIModel("m"), user("hi"))


async def test_a_key_is_never_shown() -> None:
    """Ours: objects are printed in logs."""
    assert "secret" not in repr(OpenAIModel("m", api_key="secret", default_headers={"x": "secret"}))


async def test_names_that_an_endpoint_would_refuse_are_made_plain(server: FakeOpenAI) -> None:
    """Ours: `name` of a chat message takes letters, digits, _ and - only."""
    agent = ConversableAgent("bot", llm_config=at(server), human_input_mode="NEVER", system_message="s")
    await replies_of(agent, make_turn(make_message("SAY hi", speaker="Zoë the 1st")))
    assert server.requests[0].body["messages"][1]["name"] == "Zo_the_1st"


async def test_an_empty_answer_of_a_model_leaves_the_reply_to_the_next() -> None:
    """Ours: the chain goes on to the default reply; the usage is counted all the same."""
    agent = ConversableAgent(
        "bot", llm_config=ScriptedModel([""]), human_input_mode="NEVER", default_auto_reply={"content": "default"}
    )
    replies = await replies_of(agent, make_turn("hi"))
    assert [reply for reply in replies if isinstance(reply, str)] == ["default"]
    assert any(isinstance(reply, Usage) for reply in replies)


class Watched(OpenAIModel):
    """Keeps the clients that it makes."""

    made: ClassVar[list[Any]] = []

    def connect(self) -> Any:
        self.made.append(super().connect())
        return self.made[-1]


@pytest.mark.parametrize("is_last", [True, False])
def test_the_client_of_a_model_that_is_gone_is_closed_at_once_or_with_the_loop(is_last: bool) -> None:
    """Ours: until then it is held, so that it is never garbage together with its connections."""

    async def use(url: str) -> None:
        model = Watched("m", base_url=url)
        assert (await ask_model(model, [{"role": "user", "content": "SAY hi"}]))[0] == "hi"
        del model
        gc.collect()
        while not is_last and not Watched.made[-1].is_closed():
            await asyncio.sleep(0)
        assert Watched.made[-1].is_closed() is not is_last

    with FakeOpenAI() as fake:
        asyncio.run(use(fake.base_url))
    assert Watched.made.pop().is_closed()


def test_a_model_that_is_garbage_leaves_no_open_connection() -> None:
    """Ours: collected together with its client, a connection would be torn down before it is closed."""

    async def use(url: str) -> None:
        model = OpenAIModel("m", base_url=url)
        assert (await ask_model(model, [{"role": "user", "content": "SAY hi"}]))[0] == "hi"
        gc.collect()
        for _ in range(50):  # what the client has left to do after its answer
            await asyncio.sleep(0)
        del model
        gc.collect()

    with FakeOpenAI() as fake, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        asyncio.run(use(fake.base_url))
        gc.collect()
    assert [str(each.message) for each in warned] == []
