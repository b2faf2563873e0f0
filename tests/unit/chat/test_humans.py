"""People in a conversation: when they are asked, by whom, and what their words do."""

import asyncio
import threading
from contextlib import aclosing
from typing import Any, ClassVar

import pytest

from a2a_bridge.agent import Ask
from a2a_bridge.chat.ask import TERMINAL, Terminal
from a2a_bridge.chat.conversable import ConversableAgent
from a2a_bridge.chat.entry import Entry, Speaker
from a2a_bridge.chat.replay import replay
from a2a_bridge.chat.room import Room
from a2a_bridge.chat.user_proxy import UserProxyAgent
from a2a_bridge.store.journal import MemoryJournal
from a2a_bridge.testing.model import ScriptedModel
from a2a_bridge.testing.turns import Talk, make_turn, replies_of


def said(result: Any) -> list[tuple[str, str]]:
    return [(message["name"], message["content"]) for message in result.chat_history]


async def test_always_asks_before_each_reply_and_exit_ends_the_room(room: Any, puppet: Any) -> None:
    """AutoGen: human_input_mode ALWAYS, answered by a function."""
    answers = iter(["go on", "exit"])
    asked: list[str] = []

    def human(question: str) -> str:
        asked.append(question)
        return next(answers)

    result = await room(UserProxyAgent("human", human=human), puppet("a")).chat("hello")
    assert said(result) == [("human", "hello"), ("a", "a speaks"), ("human", "go on"), ("a", "a speaks")]
    assert (result.stop.kind, result.stop.by) == ("human", "human")
    assert asked[0] == "Your reply to a? Enter says nothing, exit ends the conversation."
    assert result.human_input == ["go on"]


async def test_an_async_function_may_answer(room: Any, puppet: Any) -> None:
    """Issue 2: answered by terminal or function."""

    async def human(question: str) -> str:
        await asyncio.sleep(0)
        return "async words"

    result = await room(UserProxyAgent("human", human=human), puppet("a"), max_round=3).chat("hello")
    assert said(result)[-1] == ("human", "async words")


async def test_the_rooms_human_answers_for_agents_that_have_none(room: Any, puppet: Any) -> None:
    """Ours: one inbox a room."""
    asked: list[str] = []

    def human(question: str) -> str:
        asked.append(question)
        return "from the room"

    result = await room(UserProxyAgent("boss"), puppet("a"), human=human, max_round=3).chat("hello")
    assert said(result)[-1] == ("boss", "from the room")
    assert asked == ["boss: Your reply to a? pass (or an empty answer) says nothing, exit ends the conversation."]
    assert result.human_input == ["from the room"]
    kinds = [entry.kind for entry in result.entries]
    assert kinds[-4:] == ["asked", "answered", "said", "stopped"]


async def test_any_seat_may_ask_the_rooms_human_several_things_at_once(room: Any, puppet: Any) -> None:
    """Ours: the asks of one pause are answered by one message."""
    answers = {"planner: Where? [Durban / Paarl]": "Paarl", "planner: When?": "May"}
    asks = [Ask("Where?", options=("Durban", "Paarl"), id="where"), Ask("When?", id="when")]

    def script(turn: Any) -> list[Any]:
        answer = turn.answer
        return [f"{answer.option('where')} in {answer.value('when')}"] if answer else asks

    result = await room(puppet("planner", script), human=answers.__getitem__, max_round=2).chat("plan")
    assert result.summary == "Paarl in May"


async def test_pressing_enter_passes_in_a_room_and_the_others_go_on(room: Any, puppet: Any) -> None:
    """Ours: no blank messages (AutoGen issue 108); the pass is a round and is in the log."""
    result = await room(UserProxyAgent("human", human=lambda question: ""), puppet("a"), max_round=4).chat("hello")
    assert said(result) == [("human", "hello"), ("a", "a speaks"), ("a", "a speaks")]
    assert "passed" in [entry.kind for entry in result.entries]


async def test_pressing_enter_gives_the_automatic_reply_of_an_agent_that_has_one(room: Any, puppet: Any) -> None:
    """AutoGen: Enter skips and uses the auto-reply."""
    writer = ConversableAgent(
        "writer", human_input_mode="ALWAYS", human=lambda question: "", llm_config=ScriptedModel(["by model"])
    )
    assert said(await room(writer, max_round=2).chat("hi"))[-1] == ("writer", "by model")
    fixed = UserProxyAgent("fixed", human=lambda question: " ", default_auto_reply="as always")
    assert said(await room(fixed, puppet("a"), max_round=3).chat("hi"))[-1] == ("fixed", "as always")


async def test_words_of_a_person_are_marked_as_such_and_automatic_ones_are_not(room: Any, puppet: Any) -> None:
    """Ours: the speaker's kind is set from where the words came from."""
    answers = iter(["mine", ""])
    proxy = UserProxyAgent("human", human=lambda question: next(answers), default_auto_reply="automatic")
    result = await room(proxy, puppet("a"), max_round=5).chat("hi")
    kinds = [(entry.text, entry.speaker.kind) for entry in result.entries if entry.kind == "said" and entry.speaker]
    assert kinds == [
        ("hi", "human"), ("a speaks", "local"), ("mine", "human"), ("a speaks", "local"), ("automatic", "local"),
    ]  # fmt: skip


async def test_terminate_asks_only_where_the_conversation_would_end() -> None:
    """AutoGen: human_input_mode TERMINATE at a closing word."""
    answers = iter(["one more thing", ""])
    asked: list[str] = []

    def human(question: str) -> str:
        asked.append(question)
        return next(answers)

    user = UserProxyAgent("user", human_input_mode="TERMINATE", human=human, default_auto_reply="go on")
    bot = ConversableAgent(
        "bot", llm_config=ScriptedModel(["working", "TERMINATE", "TERMINATE"]), human_input_mode="NEVER"
    )
    result = await user.a_initiate_chat(bot, message="start", silent=True)
    assert said(result) == [
        ("user", "start"), ("bot", "working"), ("user", "go on"), ("bot", "TERMINATE"), ("user", "one more thing"),
        ("bot", "TERMINATE"),
    ]  # fmt: skip
    assert (result.stop.kind, result.stop.by) == ("terminated", "user")
    assert asked == ["Your reply to bot? Enter ends the conversation, exit ends the conversation."] * 2


async def test_terminate_asks_when_the_automatic_replies_are_used_up_and_starts_to_count_again() -> None:
    """AutoGen: max_consecutive_auto_reply with TERMINATE."""
    answers = iter(["person", "exit"])
    user = UserProxyAgent(
        "user", human_input_mode="TERMINATE", human=lambda question: next(answers), default_auto_reply="auto",
        max_consecutive_auto_reply=1,
    )  # fmt: skip
    bot = ConversableAgent("bot", llm_config=ScriptedModel(lambda messages: "more"), human_input_mode="NEVER")
    result = await user.a_initiate_chat(bot, message="start", silent=True)
    assert [text for name, text in said(result) if name == "user"] == ["start", "auto", "person", "auto"]
    assert result.stop.kind == "human"


async def test_the_terminal_is_read_in_a_thread_and_only_by_the_edge(
    room: Any, puppet: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: no agent reads stdin; `initiate_chat` does, for its seats."""
    prompts: list[str] = []

    def typed(prompt: str) -> str:
        prompts.append(prompt)
        return "typed words" if len(prompts) == 1 else "exit"

    monkeypatch.setattr("builtins.input", typed)
    human = UserProxyAgent("human")
    result = await human.a_initiate_chat(room(human, puppet("a")), message="hello", silent=True)
    assert said(result)[2] == ("human", "typed words")
    question = "Your reply to a? pass (or an empty answer) says nothing, exit ends the conversation."
    assert prompts[0] == f"human: {question}\n> "
    assert capsys.readouterr().out == ""


async def test_a_closed_terminal_stops_the_chat_and_says_what_to_do(
    room: Any, puppet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: a program without a terminal must not hang or crash."""

    def closed(prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", closed)
    human = UserProxyAgent("human")
    result = await human.a_initiate_chat(room(human, puppet("a")), message="hello", silent=True)
    assert result.stop.kind == "input_required"
    assert "pass human=..." in result.stop.detail
    assert result.summary == "a speaks"


async def test_a_room_driven_from_python_without_a_human_stops_at_a_question(room: Any, puppet: Any) -> None:
    """Ours: `chat` has no terminal; the question is the reason."""
    abandoned: list[Any] = []
    asker = puppet("asker", [Ask("Which one?")])

    async def abandon(turn: Any) -> None:
        abandoned.append(turn)

    asker.abandon = abandon
    result = await room(asker).chat("go")
    assert (result.stop.kind, result.stop.by) == ("input_required", "asker")
    assert result.stop.detail == "asker asks: Which one?"
    assert len(abandoned) == 1, "what waits at the seat is freed"


async def test_a_cancelled_question_does_not_wait_for_the_keyboard(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: Ctrl-C at a prompt ends the chat at once; the line that is typed later answers the next question."""
    asked, typed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(prompt: str) -> str:
        loop.call_soon_threadsafe(asked.set)
        asyncio.run_coroutine_threadsafe(asyncio.wait_for(typed.wait(), 5), loop).result()
        return "late words"

    monkeypatch.setattr("builtins.input", slow)
    terminal = Terminal()
    question = asyncio.create_task(terminal("first"))
    await asyncio.wait_for(asked.wait(), 5)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(question, 5)
    second = asyncio.create_task(terminal("second"))
    typed.set()
    assert await asyncio.wait_for(second, 5) == "late words"
    assert capsys.readouterr().out == "second\n> "
    assert isinstance(TERMINAL, Terminal)


async def test_an_interrupted_question_of_a_notebook_leaves_its_input_and_the_next_has_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: a browser takes the input box of an interrupted cell away; nobody could type into what still reads."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    interrupted = threading.Event()

    class Kernel:
        """Waits for the browser as ipykernel does: in Python code, a little at a time."""

        answers: ClassVar = {"second\n> ": "words"}

        def raw_input(self, prompt: str) -> str:
            try:
                loop.call_soon_threadsafe(asked.set)
                while prompt not in self.answers:
                    threading.Event().wait(0.01)
            except KeyboardInterrupt:
                interrupted.set()
                raise
            return self.answers[prompt]

    monkeypatch.setattr("builtins.input", Kernel().raw_input)
    terminal = Terminal()
    question = asyncio.create_task(terminal("first"))
    await asyncio.wait_for(asked.wait(), 5)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(question, 5)
    assert interrupted.is_set()
    assert await asyncio.wait_for(terminal("second"), 5) == "words"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("trouble", [NotImplementedError("no stdin"), OSError("captured"), EOFError()])
async def test_where_nothing_can_be_typed_the_room_says_what_to_do(
    room: Any, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """Ours: a notebook that is run by a program, a test whose output is captured, a closed standard input."""

    def refuse(prompt: str) -> str:
        raise trouble

    monkeypatch.setattr("builtins.input", refuse)
    result = await room(UserProxyAgent("boss"), human=TERMINAL, max_round=3).chat("go")
    assert result.stop.kind == "input_required"
    assert "pass human=" in result.stop.detail


async def test_a_proxy_asks_also_where_there_is_no_room() -> None:
    """Issue 2: everything is an Agent; published alone, the question goes to the client."""
    talk = Talk(UserProxyAgent("human"))
    replies = await talk.say("How many?")
    assert replies == [
        Ask("Your reply to the conversation? pass (or an empty answer) says nothing, exit ends the conversation.")
    ]
    assert await talk.say("seven") == ["seven"]


async def test_a_word_passes_for_those_who_cannot_send_nothing(room: Any, puppet: Any) -> None:
    """Ours: whoever answers over A2A may sit at no terminal; the word counts as an empty answer."""
    answers = iter(["Pass", "exit"])
    result = await room(UserProxyAgent("human"), puppet("a"), human=lambda question: next(answers)).chat("hello")
    assert said(result) == [("human", "hello"), ("a", "a speaks"), ("a", "a speaks")]
    assert result.stop.kind == "human"


async def test_an_agent_that_has_nothing_to_say_says_so_outside_a_room() -> None:
    """Ours: a task completes with a word, not with nothing."""
    agent = ConversableAgent("bot", human_input_mode="NEVER", llm_config=ScriptedModel([]))
    replies = await replies_of(agent, make_turn("TERMINATE"))
    assert replies[0].text == "the conversation said the closing word"  # type: ignore[union-attr]


async def test_two_chats_ask_at_one_terminal_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: each question has an answer of its own."""
    asked: list[str] = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        return f"answer to {prompt[:1]}"

    monkeypatch.setattr("builtins.input", typed)
    terminal = Terminal()
    assert await asyncio.gather(terminal("1"), terminal("2")) == ["answer to 1", "answer to 2"]
    assert asked == ["1\n> ", "2\n> "]


async def test_the_admin_speaks_and_answers_for_whoever_names_nobody(room: Any, puppet: Any) -> None:
    """AutoGen: `admin_name`. Replayed as well."""
    people = [UserProxyAgent(name, human_input_mode="NEVER") for name in ("first", "Boss")]
    asker = puppet("asker", lambda turn: "thanks" if turn.answer else [Ask("may I?", id="1")])
    manager = room(*people, asker, human=lambda question: "yes", max_round=2, admin_name="boss")
    journal = MemoryJournal()
    made = Room(manager.rules, make_turn("go", journal=journal), human=manager.human)
    async with aclosing(made.play()) as shown:
        entries = [entry async for entry in shown if isinstance(entry, Entry)]
    speakers = [entry.speaker.name for entry in entries if entry.kind in ("said", "answered") and entry.speaker]
    assert speakers == ["Boss", "Boss", "asker"]
    lines = [line for _, record in await journal.read() for line in record.split(b"\n")]
    assert (await replay(manager.rules, lines)).is_same
    manager = room(*people, puppet("a"), max_round=2)
    assert manager.rules.stand_in([Speaker("first", "human"), Speaker("Boss", "human")]).name == "first"
