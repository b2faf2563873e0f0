"""AG2's classic line (autogen 0.14.1): its A2aRemoteAgent speaks 0.3 in its models, and finds our agent by its card."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what AutoGen imports warns of coming days
    from autogen import ConversableAgent
    from autogen.a2a import A2aRemoteAgent

from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.cards.build import build_card
from a2a_bridge.cards.modes import CardMode, Versions
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.server import running

pytestmark = pytest.mark.filterwarnings("ignore")  # AutoGen uses what is deprecated

WAIT = 15.0
Remote = Callable[[str], A2aRemoteAgent]


class Clients:
    """What the remote agent gets its HTTP clients from: it leaves the one for cards open."""

    def __init__(self) -> None:
        self.made: list[httpx.AsyncClient] = []

    def __call__(self) -> httpx.AsyncClient:
        self.made.append(httpx.AsyncClient(timeout=WAIT))
        return self.made[-1]


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    """Makes a remote agent for a URL."""
    clients = Clients()
    yield lambda url: A2aRemoteAgent(url=url, name="remote", silent=True, client=clients)
    for client in clients.made:
        await client.aclose()


async def reply_of(remote: A2aRemoteAgent, text: str) -> Any:
    """What it answers to one message."""
    async with asyncio.timeout(WAIT):
        return await remote.a_generate_reply(messages=[{"role": "user", "name": "somebody", "content": text}])


@pytest.mark.parametrize("mode", ["hybrid", "negotiated", "v1"])
@pytest.mark.parametrize(("text", "answer"), [("hello", "echo: hello"), ("direct", "directly")])
async def test_it_talks_to_our_agent(remote: Remote, mode: CardMode, text: str, answer: str) -> None:
    """R-CARD-03, R-CARD-04: with every card, for an interface of 0.3 is in each; tasks and direct answers."""
    options = Options(versions=Versions(card=mode))
    async with running(lambda url: Bridge(Obedient(), public_url=url, options=options)) as url:
        assert answer in str(await reply_of(remote(url), text))


async def test_an_answer_in_pieces_is_whole_where_it_does_not_stream(remote: Remote) -> None:
    """Of a stream it takes each piece for a message, and answers with the last one. A card that offers no streams gives
    it the whole answer."""
    async with running(lambda url: Bridge(Obedient(), public_url=url)) as url:
        assert await reply_of(remote(url), "tokens") == {"content": "three"}
    card = build_card(Obedient(), url="", streaming=False)
    async with running(lambda url: Bridge(Obedient(), public_url=url, cards={"obedient": card})) as url:
        assert await reply_of(remote(url), "tokens") == {"content": "one two three"}


async def test_it_converses_with_one_of_its_own(remote: Remote) -> None:
    """The issue's first use: a seat of the classic line is somebody's endpoint."""
    async with running(lambda url: Bridge(Obedient(), public_url=url)) as url:
        asking = ConversableAgent("asking", llm_config=False, human_input_mode="NEVER", silent=True)
        async with asyncio.timeout(WAIT):
            result = await asking.a_initiate_chat(remote(f"{url}/obedient"), message="hello", max_turns=1)
    assert "echo: hello" in str(result.chat_history[-1]["content"])


async def test_a_failed_task_is_its_error(remote: Remote) -> None:
    """R-SEND-12."""
    async with running(lambda url: Bridge(Obedient(), public_url=url)) as url:
        with pytest.raises(Exception, match="no more paint"):
            await reply_of(remote(url), "fail")


async def test_without_0_3_it_finds_no_interface(remote: Remote) -> None:
    """R-CARD-05: a server that does not speak 0.3 does not say so; this client needs it."""
    options = Options(versions=Versions(v03=False))
    async with running(lambda url: Bridge(Obedient(), public_url=url, options=options)) as url:
        with pytest.raises(Exception, match="compatible protocol version"):
            await reply_of(remote(url), "hello")
