"""What becomes an agent, and what is refused with a sentence."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge import adapt
from a2a_bridge.agent import Chunk, Say, Turn
from a2a_bridge.errors import AdapterNotFoundError
from a2a_bridge.protocol.objects import Message, Part, Role
from a2a_bridge.testing.turns import make_turn, replies_of


async def text_of(function: Any, said: str = "hello") -> str:
    return "".join(str(getattr(reply, "text", reply)) for reply in await replies_of(adapt(function), make_turn(said)))


async def test_every_kind_of_function_is_an_agent() -> None:
    """Ours: architecture, what `adapt` takes."""

    async def awaited(text: str) -> str:
        return text.upper()

    async def streamed(turn: Turn) -> Any:
        for letter in turn.text:
            yield letter

    def generated(text: str) -> Any:
        yield text
        yield Say("!")

    assert await text_of(lambda text: text.upper()) == "HELLO"
    assert await text_of(awaited) == "HELLO"
    assert await text_of(streamed) == "hello"
    assert await text_of(generated) == "hello!"


async def test_a_function_of_text_gets_data_as_json_and_files_by_name() -> None:
    """The card promises to take application/json: what is sent must not be lost without a word."""
    parts = (
        Part(text="see"), Part(data={"\u00e9": [1]}), Part(data=None), Part(raw=b"x", filename="x.bin"),
        Part(url="https://h/y"), Part(raw=b"x", media_type="image/png"), Part(raw=b"x"),
    )  # fmt: skip
    turn = replace(make_turn("x"), messages=(Message(message_id="1", role=Role.USER, parts=parts),))
    (reply,) = await replies_of(adapt(lambda text: text), turn)
    assert reply == 'see\n{"\u00e9": [1]}\nnull\n[x.bin]\n[https://h/y]\n[image/png]\n[a file]'


async def test_a_function_may_give_parts_messages_and_json() -> None:
    message = Message(message_id="1", role=Role.AGENT, parts=(Part(text="a"),))
    for given, kind in (
        ({"n": 1}, "data"),
        ([1, 2], "data"),
        (Part(url="https://a.example"), "url"),
        (message, "text"),
    ):
        (reply,) = await replies_of(adapt(lambda text, given=given: given), make_turn("x"))
        assert reply.parts[0].kind == kind
    several = [Part(text="look"), Part(raw=b"x", media_type="image/png")]
    assert await replies_of(adapt(lambda text: several), make_turn("x")) == [Chunk(parts=tuple(several))]
    assert await replies_of(adapt(lambda text: None), make_turn("x")) == []


async def test_a_generator_that_is_left_early_is_closed() -> None:
    """Ours: whoever stops reading ends the work."""
    closed: list[str] = []

    def generated(text: str) -> Any:
        try:
            yield "one"
            yield "two"
        finally:
            closed.append(text)

    replies = adapt(generated).run(make_turn("x"))
    assert await anext(replies) == "one"
    await replies.aclose()
    assert closed == ["x"]


@pytest.mark.parametrize("function", [lambda: "none", lambda one, two: "two", lambda text, *, more: "more"])
def test_a_function_that_cannot_be_called_with_one_argument_is_refused_at_once(function: Any) -> None:
    with pytest.raises(AdapterNotFoundError, match="called with one argument"):
        adapt(function)


def test_the_refusal_says_what_is_missing_and_nothing_else() -> None:
    class Almost:
        name = "almost"
        description = "Lacks one thing."

        def run(self, turn: Turn) -> str:
            return "not a generator"

    with pytest.raises(AdapterNotFoundError) as refused:
        adapt(Almost())
    assert "lacks `run` (an async generator function)" in str(refused.value)
    assert "`name`" not in str(refused.value)


def test_another_agents_name_and_description_can_be_overridden() -> None:
    agent = adapt(lambda text: text, name="echo", description="Says it again.")
    renamed = adapt(agent, name="parrot")
    assert (renamed.name, renamed.description) == ("parrot", "Says it again.")


def test_a_package_that_hides_the_adapters_is_named(tmp_path: Path) -> None:
    """Ours: our adapters lie in a namespace package, so a folder of the user's can hide them."""
    hiding = tmp_path / "adapters" / "__init__.py"
    hiding.parent.mkdir()
    hiding.write_text("")
    code = "import a2a_bridge\ntry:\n    a2a_bridge.adapt(object())\nexcept Exception as error:\n    print(error)"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert f"because {hiding} hides the package 'adapters'" in run.stdout, run.stderr


@pytest.mark.parametrize("word", ["register_function", "Cache", "config_list_from_json", "initiate_chats", "IOStream"])
def test_a_classic_word_that_is_not_here_says_so(word: str) -> None:
    with pytest.raises(ImportError, match=f"a2a_bridge has no {word}: "):
        exec(f"from a2a_bridge import {word}")
