"""What is CrewAI's own: silence, placeholders, several tasks, reviews, answers in other forms."""

import asyncio
import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import adapters.crewai.adapter
from a2a_bridge.agent import Ask, Chunk, Progress, outcome
from a2a_bridge.bridge import Bridge
from a2a_bridge.client.client import Client
from a2a_bridge.errors import AdapterError, ContentTypeNotSupportedError
from a2a_bridge.protocol.objects import Part, Role
from a2a_bridge.testing.adapter_case import IMPORT_WAIT, said, within
from a2a_bridge.testing.fake_model import Conversation, Said, directed
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.server import running
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # CrewAI's own modules warn while they are imported
    from crewai import LLM, Agent, Crew, Process, Task
    from crewai.events.event_bus import crewai_event_bus
    from crewai.experimental.agent_executor import AgentExecutor, AgentExecutorState
    from crewai.memory.storage.kickoff_task_outputs_storage import KickoffTaskOutputsSQLiteStorage

    from adapters.crewai.crew import CrewAgent
    from adapters.crewai.files import can_be_shown, with_pictures
    from adapters.crewai.reading import Words

pytestmark = pytest.mark.filterwarnings("ignore")  # CrewAI uses what it has deprecated itself

ADAPTER = adapters.crewai.adapter.ADAPTER
ROOT = Path(__file__).parents[2]


@pytest.fixture
def model() -> Iterator[FakeOpenAI]:
    """The fake model."""
    with FakeOpenAI() as model:
        yield model


def worker(model: FakeOpenAI, role: str = "Worker", **options: Any) -> Agent:
    """A CrewAI agent that talks to the fake server."""
    llm = LLM(model="openai/fake-model", base_url=model.base_url, api_key="x", max_retries=0)
    return Agent(role=role, goal="to work", backstory="Born to.", llm=llm, max_retry_limit=0, **options)


def crew(agent: Agent, *descriptions: str, **options: Any) -> Crew:
    """A crew of one, with a task for each description; `options` are those of the last one."""
    tasks = [Task(description=one, expected_output="x", agent=agent) for one in descriptions[:-1]]
    tasks.append(Task(description=descriptions[-1], expected_output="x", agent=agent, **options))
    return Crew(agents=[agent], tasks=tasks)


def prompt(model: FakeOpenAI, number: int = -1) -> str:
    """The last message of a request to the model."""
    return str(model.requests[number].body["messages"][-1]["content"])


# Silence


def on_a_terminal(home: Path, *arguments: str) -> str:
    """What the program writes to a terminal of its own, with an empty home and none of CrewAI's settings."""
    program = Path(__file__).with_name("crewai_on_a_terminal.py")
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(program), *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=home, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + IMPORT_WAIT
    try:
        while time.monotonic() < deadline and b"-- went outside" not in shown:
            if select.select([ours], [], [], 0.2)[0]:
                with contextlib.suppress(OSError):  # the program has ended, and its terminal with it
                    shown += os.read(ours, 65536)
            if process.poll() is not None:
                break
        return shown.decode(errors="replace")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)
        os.close(ours)


@pytest.mark.timeout(2 * IMPORT_WAIT)
@pytest.mark.parametrize("first", ["adapter", "crewai"])
def test_on_a_fresh_machine_with_a_terminal_nothing_is_asked_printed_or_sent(tmp_path: Path, first: str) -> None:
    """Demo §4: by itself CrewAI asks there whether it may share a trace, and waits twenty seconds."""
    shown = on_a_terminal(tmp_path, first)
    assert shown.count("-- said: good morning []") == 2, shown
    assert "-- went outside: []" in shown
    after = [line for line in shown.partition("-- built")[2].splitlines() if line.strip()]
    assert [line[:8] for line in after] == ["-- said:", "-- said:", "-- went "], shown
    assert ("imported before its telemetry" in shown) == (first == "crewai")


@pytest.mark.timeout(2 * IMPORT_WAIT)
def test_a_review_never_reads_the_terminal(tmp_path: Path) -> None:
    """Frameworks §7 trap 7: `human_input=True` would read the server's stdin."""
    shown = on_a_terminal(tmp_path, "adapter", "review")
    assert "-- said: good morning ['Is this all right? Say yes, or what to change.']" in shown


# What goes in


async def test_placeholders_get_the_text_and_data_fills_those_it_names(model: FakeOpenAI) -> None:
    """Ours: a crew has no message list, so its inputs are what was said."""
    agent = ADAPTER.adapt(crew(worker(model), "SAY {topic} in {place}"))
    assert (await said(agent, make_turn("rain"))).text == "rain in rain"
    message = make_message([Part(text="rain"), Part(data={"place": "Oslo", "unknown": 1})])
    assert (await said(agent, make_turn(message))).text == "rain in Oslo"


async def test_a_crew_without_placeholders_still_hears_what_is_said(model: FakeOpenAI) -> None:
    """Ours: a message is never silently dropped; braces in it are just text."""
    agent = ADAPTER.adapt(crew(worker(model), "Greet the guest."))
    await said(agent, make_turn('I am {name} of {"a": 1}.'))
    assert 'Greet the guest.\n\nI am {name} of {"a": 1}.' in prompt(model)


async def test_a_transcript_names_every_speaker(model: FakeOpenAI) -> None:
    """Architecture §6: who said what is known to the crew, its own words included."""
    agent = ADAPTER.adapt(crew(worker(model), "{transcript}"), name="market_crew")
    history = [make_message("Hello."), make_message("I am here.", role=Role.AGENT)]
    await said(agent, make_turn(make_message("[critic] Really?", speaker="critic"), history=history))
    assert "user: Hello.\nmarket_crew: I am here.\ncritic: Really?" in prompt(model)


async def test_a_single_agent_gets_messages_with_their_speakers(model: FakeOpenAI) -> None:
    """Architecture §6: CrewAI shows models no names, so they stand before the text."""
    agent = ADAPTER.adapt(worker(model))
    history = [make_message("Hello.", speaker="host"), make_message("I am here.", role=Role.AGENT)]
    await said(agent, make_turn(make_message("Really?", speaker="critic"), history=history))
    messages = [(one["role"], one["content"]) for one in model.requests[-1].body["messages"][1:]]
    assert messages[:2] == [("user", "[host] Hello."), ("assistant", "I am here.")]
    assert "[critic] Really?" in messages[2][1]


# What comes out


async def test_only_the_last_task_answers_and_the_others_are_progress(model: FakeOpenAI) -> None:
    """Ours: a crew's answer is what its last task gives."""
    agent = ADAPTER.adapt(crew(worker(model), "SAY a plan for {topic}", "SAY the result"))
    replies = await within(replies_of(agent, make_turn("lunch")))
    assert "".join(reply for reply in replies if isinstance(reply, str)) == "the result"
    assert not [reply for reply in replies if isinstance(reply, Chunk)]
    assert [reply.text for reply in replies if isinstance(reply, Progress)] == ["Task 1 of 2", "Task 2 of 2"]


async def test_a_pydantic_answer_is_a_data_part(model: FakeOpenAI) -> None:
    """Ours: `output_pydantic` gives data, not JSON in words."""

    class Weather(BaseModel):
        city: str

    agent = ADAPTER.adapt(crew(worker(model), "{topic}", output_pydantic=Weather))
    result = await said(agent, make_turn('JSON {"city": "Oslo"}'))
    assert [part.data for part in result.parts] == [{"city": "Oslo"}]


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["Plain ", "words"], "Plain words"),
        (["Tho", "ught: hm\nFinal", " Answer: ", "yes", " indeed"], "yes indeed"),
        (["Thoughts", " are free"], "Thoughts are free"),
        (["Thought: I need it\nAction: add"], ""),
    ],
)
def test_thinking_aloud_is_not_shown(pieces: list[str], shown: str) -> None:
    """Ours: models without native tools say `Thought:` and `Final Answer:`, because CrewAI tells them to."""
    words = Words()
    assert "".join(words.add(piece) for piece in pieces) == shown


async def test_thinking_aloud_is_not_an_answer(model: FakeOpenAI) -> None:
    """The same, through CrewAI, and the answer is still streamed."""

    def thinks(asked: Conversation) -> Said:
        return Said(text="Thought: I now know\nFinal Answer: " + directed(asked).text)

    with FakeOpenAI(thinks) as thinker:
        replies = await within(replies_of(ADAPTER.adapt(crew(worker(thinker), "{topic}")), make_turn("SAY a b c")))
    assert [reply for reply in replies if isinstance(reply, str | Chunk)] == ["a ", "b ", "c"]


async def test_the_users_own_crew_is_not_written_to(model: FakeOpenAI) -> None:
    """Architecture §1.1: objects are configuration; each turn works on a copy."""
    own = crew(worker(model), "{topic}")
    await said(ADAPTER.adapt(own), make_turn("SAY hello"))
    assert own.tasks[0].output is None
    assert own.tasks[0].description == "{topic}"
    assert not own.agents[0].llm.stream
    assert not own.stream


async def test_a_turn_makes_no_classes_and_leaves_nothing_on_the_disk(model: FakeOpenAI) -> None:
    """Issue 5: what a turn costs; CrewAI keeps the last run of any crew in one file, with the caller's words in it."""
    agent = ADAPTER.adapt(crew(worker(model), "{topic}"))
    await said(agent, make_turn("SAY before"))
    made = len(AgentExecutorState.__subclasses__())
    KickoffTaskOutputsSQLiteStorage().delete_all()
    assert (await said(agent, make_turn("SAY a secret"))).text == "a secret"
    assert len(AgentExecutorState.__subclasses__()) == made
    assert KickoffTaskOutputsSQLiteStorage().load() == []


async def test_an_executor_of_the_developers_own_is_kept_by_the_copy(model: FakeOpenAI) -> None:
    """Ours: what the developer has said wins."""
    ran: list[str] = []

    class Own(AgentExecutor):  # type: ignore[misc]
        @classmethod
        def flow_definition(cls) -> Any:
            ran.append("own")
            return AgentExecutor.flow_definition()

    agent = ADAPTER.adapt(crew(worker(model, executor_class=Own), "{topic}"))
    assert (await said(agent, make_turn("SAY hello"))).text == "hello"
    assert ran


async def test_callbacks_and_guardrails_are_kept_by_the_copy(model: FakeOpenAI) -> None:
    """Frameworks §7 trap 7: a fresh crew per task, with all its parts."""
    heard: list[str] = []

    def guard(output: Any) -> tuple[bool, Any]:
        return True, output.raw.upper()

    own = crew(worker(model), "{topic}", callback=lambda output: heard.append(output.raw), guardrail=guard)
    assert (await said(ADAPTER.adapt(own), make_turn("SAY loud"))).text == "LOUD"
    assert heard == ["LOUD"]


# Reviews


async def test_a_review_takes_feedback_until_it_is_content(model: FakeOpenAI) -> None:
    """Issue 2, part 7: never stdin; the pause is a question, and the answer goes back to the same task."""
    talk = Talk(ADAPTER.adapt(crew(worker(model), "{topic}", human_input=True)))
    first = await within(talk.say("SAY draft one"))
    assert isinstance(first[-1], Ask)
    assert outcome(first).text == "draft one"
    second = await within(talk.say("SAY draft two"))
    assert isinstance(second[-1], Ask)
    assert outcome(second).text == "draft two"
    roles = [one["role"] for one in model.requests[-1].body["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert outcome(await within(talk.say("Yes."))).text == "draft two"
    assert len(model.requests) == 2


async def test_a_review_in_the_middle_of_a_crew_is_refused(model: FakeOpenAI) -> None:
    """Ours: what cannot be continued is refused when the crew is adapted."""
    agent = worker(model)
    asks = Task(description="{topic}", expected_output="x", agent=agent, human_input=True)
    last = Task(description="then", expected_output="x", agent=agent)
    with pytest.raises(AdapterError, match="last"):
        ADAPTER.adapt(Crew(agents=[agent], tasks=[asks, last]))


async def test_a_review_of_a_task_in_a_thread_of_its_own_is_a_question_too(model: FakeOpenAI) -> None:
    """Ours: CrewAI would wait for that task for ever, and the turn with it."""
    talk = Talk(ADAPTER.adapt(crew(worker(model), "{topic}", human_input=True, async_execution=True)))
    assert isinstance((await within(talk.say("SAY draft one")))[-1], Ask)
    assert outcome(await within(talk.say("yes"))).text == "draft one"


async def test_a_cancel_ends_a_task_in_a_thread_of_its_own(model: FakeOpenAI) -> None:
    """Architecture §1.1: the slot of a cancelled turn is free when its work has ended."""
    agent = ADAPTER.adapt(crew(worker(model), "{topic}", async_execution=True))
    task = asyncio.create_task(replies_of(agent, make_turn("SLOW")))
    await model.until(lambda m: m.open == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)
    await model.until(lambda m: m.open == 0)


async def test_a_single_agent_answers_in_the_form_it_is_given(model: FakeOpenAI) -> None:
    """Issue 5, part 1: structured output is data, not JSON in words."""

    class Weather(BaseModel):
        city: str

    agent = CrewAgent(worker(model), response_format=Weather)
    result = await said(agent, make_turn('JSON {"city": "Oslo"}'))
    assert [part.data for part in result.parts] == [{"city": "Oslo"}]
    with pytest.raises(AdapterError, match="output_pydantic"):
        CrewAgent(crew(worker(model), "{topic}"), response_format=Weather)


# Files

PNG = Part(raw=b"png", media_type="image/png", filename="a.png")
PDF = Part(raw=b"%PDF", media_type="application/pdf", filename="a.pdf")


async def test_a_text_file_is_told_and_what_cannot_be_read_is_named(model: FakeOpenAI) -> None:
    """Issue 5, part 1: files are parts; none is dropped in silence."""
    files = [Part(raw="Grüße".encode(), media_type="text/plain; charset=utf-8", filename="a.txt"), PDF]
    message = make_message([Part(text="Look:"), *files, Part(raw=b"\xff", media_type="text/csv")])
    for agent in (ADAPTER.adapt(worker(model)), ADAPTER.adapt(crew(worker(model), "{topic}"))):
        await said(agent, make_turn(message))
        assert "Look:\n[a.txt: text/plain]\nGrüße\n[a.pdf: application/pdf, not readable here]" in prompt(model)
        assert "[file: text/csv, not readable here]" in prompt(model)


async def test_a_file_that_no_model_here_reads_is_refused_at_the_door(model: FakeOpenAI) -> None:
    """R-SEND-07: what the card does not take is refused with the types that it takes."""
    crew_of_one = crew(worker(model), "{topic}")
    async with running(lambda url: Bridge(crew_of_one, public_url=url)) as url, Client(url) as client:
        with pytest.raises(ContentTypeNotSupportedError, match="image/png"):
            await within(client.send(make_message([PDF])), 2 * IMPORT_WAIT)


async def test_every_task_of_a_crew_sees_the_pictures_and_so_does_the_feedback_to_it(model: FakeOpenAI) -> None:
    """Issue 5, part 1: pictures reach the models; of an answer to a review, too."""
    agent = ADAPTER.adapt(crew(worker(model), "SAY a plan for {topic}", "SAY a draft", human_input=True))
    talk = Talk(agent)
    assert isinstance((await within(talk.say(make_message([Part(text="this"), PNG]))))[-1], Ask)
    for request in model.requests:
        assert shown(request.body) == ["data:image/png;base64,cG5n"]
    other = Part(url="https://example.org/b.png", media_type="image/png")
    await within(talk.say(make_message([Part(text="SAY like this"), other])))
    assert shown(model.requests[-1].body) == ["data:image/png;base64,cG5n", "https://example.org/b.png"]


async def test_a_single_agent_sees_the_pictures_where_they_were_sent(model: FakeOpenAI) -> None:
    """Ours: which message a picture belongs to is told."""
    agent = ADAPTER.adapt(worker(model))
    history = [make_message([Part(text="First."), PNG]), make_message("I see.", role=Role.AGENT)]
    await said(agent, make_turn(make_message("And?"), history=history))
    messages = model.requests[-1].body["messages"]
    assert [len(shown({"messages": [one]})) for one in messages] == [0, 1, 0, 0]
    assert "[a.png: image/png]" in messages[1]["content"][0]["text"]


def shown(body: Any) -> list[str]:
    """The addresses of the pictures that a model is shown."""
    contents = [one["content"] for one in body["messages"] if isinstance(one["content"], list)]
    return [block["image_url"]["url"] for content in contents for block in content if block["type"] == "image_url"]


def test_a_picture_has_the_form_that_its_model_takes() -> None:
    """Ours: Gemini's own; Bedrock's is not known without a further package, so it gets none."""

    class Model:
        def __init__(self, provider: str) -> None:
            self.provider = provider

    link = Part(url="https://example.org/b.png", media_type="image/png")
    assert with_pictures("Look", [PNG, link], Model("gemini")) == [
        {"text": "Look"},
        {"inlineData": {"mimeType": "image/png", "data": "cG5n"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://example.org/b.png"}},
    ]
    assert with_pictures("Look", [], Model("gemini")) == "Look"
    assert can_be_shown([Model("openai"), Model("anthropic"), Model("ollama")])
    assert not can_be_shown([Model("openai"), Model("bedrock")])
    assert not can_be_shown(["bedrock/anthropic.claude-sonnet-4"])


async def test_the_manager_of_a_hierarchical_crew_streams_its_answer(model: FakeOpenAI) -> None:
    """Ours: its model is the crew's own, and the copy's: the user's is not written to."""
    agent = worker(model, role="{topic} Researcher")
    manager = LLM(model="openai/fake-model", base_url=model.base_url, api_key="x", max_retries=0)
    own = Crew(
        agents=[agent],
        tasks=[Task(description="{topic}", expected_output="x")],
        process=Process.hierarchical,
        manager_llm=manager,
    )
    adapted = ADAPTER.adapt(own)
    assert adapted.description == "A CrewAI crew of 1: Researcher."
    replies = await within(replies_of(adapted, make_turn("SAY one two three")))
    assert [reply for reply in replies if isinstance(reply, str)] == ["one ", "two ", "three"]
    assert not manager.stream


async def test_who_has_worked_is_let_go(model: FakeOpenAI) -> None:
    """Ours: CrewAI notes all that works in the program's own context, if that has a crew or an agent in it."""
    crewai_event_bus.reset_runtime_state()  # of what other tests have made
    crewai_event_bus.register_entity(worker(model))
    noted = crewai_event_bus.runtime_state
    assert noted is not None
    for obj in (worker(model), crew(worker(model), "{topic}")):
        await said(ADAPTER.adapt(obj), make_turn("SAY hello"))
    assert len(noted.root) == 1
    crewai_event_bus.reset_runtime_state()
