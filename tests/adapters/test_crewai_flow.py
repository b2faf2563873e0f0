"""What is a CrewAI flow's own: state, feedback that routes, steps, persistence, what cannot be published."""

import gc
import warnings
from typing import Any

import pytest
from pydantic import BaseModel

import adapters.crewai.adapter
from a2a_bridge.agent import Ask, Caller, Progress, outcome
from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.adapter_case import said, within
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # CrewAI's own modules warn while they are imported
    from crewai import Flow
    from crewai.flow.flow import listen, router, start
    from crewai.flow.human_feedback import human_feedback
    from crewai.flow.persistence import SQLiteFlowPersistence

pytestmark = pytest.mark.filterwarnings("ignore")  # CrewAI uses what it has deprecated itself

ADAPTER = adapters.crewai.adapter.ADAPTER


class Trip(BaseModel):
    """The state of a flow that plans."""

    id: str = ""
    message: str = ""
    days: int = 1
    asked: list[str] = []


class Planner(Flow[Trip]):
    """Plans trips."""

    @start()
    def read(self) -> None:
        self.state.asked.append(self.state.message)

    @listen(read)
    def plan(self) -> dict[str, Any]:
        return {"days": self.state.days, "asked": self.state.asked}


class Editor(Flow[dict]):  # type: ignore[type-arg]
    """Two people look at a text, one after the other."""

    @start()
    @human_feedback(message="First?")
    def draft(self) -> str:
        return f"draft of {self.state['message']}"

    @listen(draft)
    @human_feedback(message="Second?")
    def edit(self, result: Any) -> str:
        return f"{result.output}, {result.feedback}"

    @listen(edit)
    def publish(self, result: Any) -> str:
        return f"{result.output}, {result.feedback}"


class Asks(Flow[dict]):  # type: ignore[type-arg]
    """Asks in the middle of a method."""

    @start()
    def begin(self) -> str:
        return str(self.ask("Where to?"))


class Picky(Flow[dict]):  # type: ignore[type-arg]
    """Cannot be made without an argument."""

    def __init__(self, tone: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._tone = tone

    @start()
    def begin(self) -> str:
        return f"{self._tone}: {self.state['message']}"


class Routed(Flow[dict]):  # type: ignore[type-arg]
    """Goes one way or the other."""

    @start()
    def begin(self) -> str:
        return str(self.state["message"])

    @router(begin)
    def choose(self, text: str) -> str:
        return "loud" if text.isupper() else "soft"

    @listen("loud")
    def shout(self) -> str:
        return "HEARD"

    @listen("soft")
    def whisper(self) -> str:
        return "heard"


async def test_a_state_is_kept_in_its_context_and_data_fills_it() -> None:
    """Issue 5, part 1: state per contextId, in the turn's journal; a structured state gets what it has members for."""
    agent = ADAPTER.adapt(Planner())
    assert (agent.name, agent.description) == ("Planner", "Plans trips.")
    talk = Talk(agent)
    await within(talk.say("Oslo"))
    message = make_message([Part(text="Rome"), Part(data={"days": 3, "unknown": 1})])
    replies = await within(talk.say(message))
    assert [part.data for part in outcome(replies).parts] == [{"days": 3, "asked": ["Oslo", "Rome"]}]
    assert [reply.text for reply in replies if isinstance(reply, Progress)] == ["Step read", "Step plan"]
    other = await said(agent, make_turn("Paris", context_id="context-2"))
    assert [part.data for part in other.parts] == [{"days": 1, "asked": ["Paris"]}]


async def test_a_flow_is_given_the_files_of_the_newest_message() -> None:
    """Issue 5, part 1: a flow decides itself what becomes of them; what has no address has a `data:` URL."""

    class Looks(BaseModel):
        id: str = ""
        message: str = ""
        message_files: list[dict[str, Any]] = []

    class Looking(Flow[Looks]):
        @start()
        def look(self) -> list[dict[str, Any]]:
            return self.state.message_files

    agent = ADAPTER.adapt(Looking())
    assert "*/*" in agent.traits.input_modes  # type: ignore[attr-defined]
    assert "*/*" not in ADAPTER.adapt(Planner()).traits.input_modes  # type: ignore[attr-defined]
    talk = Talk(agent)
    pdf = Part(raw=b"%PDF", media_type="application/pdf", filename="a.pdf")
    link = Part(url="https://example.org/b.png", media_type="image/png")
    replies = await within(talk.say(make_message([Part(text="Look"), pdf, link])))
    assert [part.data for part in outcome(replies).parts] == [
        [
            {"filename": "a.pdf", "media_type": "application/pdf", "url": "data:application/pdf;base64,JVBERg=="},
            {"filename": None, "media_type": "image/png", "url": "https://example.org/b.png"},
        ]
    ]
    assert [part.data for part in outcome(await within(talk.say("Again"))).parts] == [[]]


async def test_the_flows_of_earlier_turns_are_gone() -> None:
    """Ours: memory; CrewAI notes each flow and its events where the first one was made, and never forgets them."""
    agent = ADAPTER.adapt(Planner())
    alive: list[int] = []
    for turns in (2, 6):
        for _ in range(turns):
            await said(agent, make_turn("Oslo"))
        gc.collect()
        alive.append(sum(isinstance(one, Planner) for one in gc.get_objects()))
    assert alive[0] == alive[1]


async def test_feedback_is_asked_for_step_by_step_also_after_a_restart() -> None:
    """Frameworks §3: HumanFeedbackPending is a pause, `from_pending` goes on in a new object."""
    talk = Talk(ADAPTER.adapt(Editor()))
    first = await within(talk.say("a poem"))
    assert first[-1] == Ask(text="First?")
    assert outcome(first).text == "draft of a poem"
    talk.agent = ADAPTER.adapt(Editor())
    second = await within(talk.say("shorter"))
    assert second[-1] == Ask(text="Second?")
    assert outcome(second).text == "draft of a poem, shorter"
    talk.agent = ADAPTER.adapt(Editor())
    last = await within(talk.say("print it"))
    assert outcome(last).text == "draft of a poem, shorter, print it"
    assert talk.asks == ()


async def test_a_flow_that_reads_the_terminal_says_what_to_do_instead() -> None:
    """Frameworks §7 trap 7: nothing reads the server's stdin."""
    result = await said(ADAPTER.adapt(Asks()), make_turn("hello"))
    assert "@human_feedback" in (result.failed or "")


async def test_a_function_makes_what_cannot_be_made_anew() -> None:
    """Issue 5, part 1: built fresh where it is not safe to share."""
    with pytest.raises(AdapterError, match="Give a function"):
        ADAPTER.adapt(Picky("loud"))
    agent = ADAPTER.adapt(lambda: Picky("loud"), name="picky")
    assert (await said(agent, make_turn(make_message("hello", speaker="Ada")))).text == "loud: [Ada] hello"
    with pytest.raises(AdapterError, match="made a str"):
        ADAPTER.adapt(lambda: "flow")


def test_a_state_without_a_place_for_words_is_refused() -> None:
    """Ours: said when it is published, not when somebody speaks."""

    class Numbers(BaseModel):
        id: str = ""
        days: int = 1

    class Counter(Flow[Numbers]):
        @start()
        def count(self) -> int:
            return self.state.days

    with pytest.raises(AdapterError, match="message"):
        ADAPTER.adapt(Counter())


async def test_a_router_chooses_and_the_last_step_answers() -> None:
    """Ours: a flow's answer is what its last method gives."""
    agent = ADAPTER.adapt(Routed())
    assert (await said(agent, make_turn("HELLO"))).text == "HEARD"
    assert (await said(agent, make_turn("hello"))).text == "heard"


async def test_the_flows_own_persistence_keeps_what_it_kept(tmp_path: Any) -> None:
    """Ours: what the developer has set up still works, each caller under a name of their own."""
    from crewai.flow.persistence import persist

    store = SQLiteFlowPersistence(str(tmp_path / "flows.db"))

    @persist(store)
    class Kept(Flow[dict]):  # type: ignore[type-arg]
        @start()
        def begin(self) -> str:
            return str(self.state["id"])

    agent = ADAPTER.adapt(Kept(persistence=store))
    anonymous = (await said(agent, make_turn("hello"))).text
    named = (await said(agent, make_turn("hello", caller=Caller("ada")))).text
    assert anonymous == "context-1"
    assert named != anonymous
    for flow_id in (anonymous, named):
        found = store.load_state(flow_id)
        assert found is not None
        assert found["message"] == "hello"


async def test_a_feedback_with_outcomes_offers_them() -> None:
    """Ours: `emit` are the options of the question."""

    class Gate(Flow[dict]):  # type: ignore[type-arg]
        @start()
        @human_feedback(message="Go?", emit=["approved", "rejected"], llm="gpt-4o-mini", default_outcome="rejected")
        def draft(self) -> str:
            return "a draft"

    replies = await within(replies_of(ADAPTER.adapt(Gate()), make_turn("go")))
    assert replies[-1] == Ask(text="Go?", options=("approved", "rejected"))
