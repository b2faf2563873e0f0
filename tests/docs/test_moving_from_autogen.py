"""docs/moving-from-autogen.md is true of both packages: AutoGen's own classes, read here, and ours."""

import ast
import dataclasses
import inspect
import re
import textwrap
import warnings
from pathlib import Path
from typing import Any

import pytest

import a2a_bridge
from a2a_bridge import AssistantAgent, ConversableAgent, GroupChat, GroupChatManager, UserProxyAgent
from a2a_bridge.chat import absent

with warnings.catch_warnings():  # packages that it loads are fond of telling about Python 3.11
    warnings.simplefilter("ignore")
    import autogen
    from autogen.agentchat.chat import ChatResult as ClassicResult

PAGE = (Path(__file__).parents[2] / "docs" / "moving-from-autogen.md").read_text("utf-8")


def section(title: str) -> dict[str, str]:
    """The parts of a section of the page by their headings."""
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    first, *parts = re.split(r"^### (.+)\n", found, flags=re.M)
    return {"": first} | dict(zip(parts[::2], parts[1::2], strict=True))


def rows(text: str) -> dict[str, str]:
    """The rows of a table, one for each name in the first column."""
    found: dict[str, str] = {}
    for names, told in re.findall(r"^\| (`.+?`) \| (.+) \|$", text, re.M):
        for name in re.findall(r"`(\w+)`", names):
            assert name not in found
            found[name] = told
    return found


def public(cls: type) -> set[str]:
    """The public attributes of a classic class, those that its methods set on `self` included."""
    found = {name for name in dir(cls) if not name.startswith("_")}
    if dataclasses.is_dataclass(cls):
        found |= {each.name for each in dataclasses.fields(cls) if not each.name.startswith("_")}
    for each in cls.__mro__:
        if each.__module__.startswith("autogen."):
            tree = ast.parse(textwrap.dedent(inspect.getsource(each)))
            stores = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
            stores = [node for node in stores if isinstance(node.ctx, ast.Store)]
            found |= {node.attr for node in stores if isinstance(node.value, ast.Name) and node.value.id == "self"}
    return {name for name in found if not name.startswith("_")}


AGENTS = (autogen.ConversableAgent, autogen.AssistantAgent, autogen.UserProxyAgent)
OURS = (ConversableAgent("a"), AssistantAgent("a"), UserProxyAgent("a", human_input_mode="NEVER"))
CHAT = GroupChat([ConversableAgent("a")], speaker_selection_method="random")
MANAGER = GroupChatManager(CHAT)
SECTIONS: list[tuple[str, set[str], tuple[Any, ...], Any]] = [
    ("ConversableAgent, AssistantAgent, UserProxyAgent", set().union(*map(public, AGENTS)), OURS, absent.AGENT),
    ("GroupChat", public(autogen.GroupChat), (CHAT,), absent.CHAT),
    ("GroupChatManager", public(autogen.GroupChatManager), (MANAGER,), absent.MANAGER),
    ("ChatResult", public(ClassicResult), (), {}),
]


@pytest.mark.parametrize(("title", "classic", "ours", "table"), SECTIONS, ids=[each[0] for each in SECTIONS])
def test_the_page_has_each_public_attribute_of_the_classic_classes_once(
    title: str, classic: set[str], ours: tuple[Any, ...], table: dict[str, str]
) -> None:
    """Issue 4: an attribute works as it does there, or differently, or says what to use instead."""
    told = section(title)
    same = set(re.findall(r"`(\w+)`", told["The same"]))
    different, gone = set(rows(told["Different"])), rows(told.get("Not there", ""))
    assert len(same) + len(different) + len(gone) == len(same | different | gone.keys())
    listed = same | different | gone.keys()
    rest = classic - listed
    assert listed <= classic
    assert gone == dict(table)
    assert not rest or title == "GroupChatManager"
    for one in ours:
        for name in same | different:
            assert hasattr(one, name), name
        for name, instead in gone.items() | {(name, absent.NO_PART) for name in rest}:
            assert not hasattr(one, name), name
            with pytest.raises(AttributeError, match=re.escape(f"{type(one).__name__}.{name} is AutoGen's")) as error:
                getattr(one, name)
            assert str(error.value).endswith(instead)
    assert absent.NO_PART in PAGE


def test_the_page_says_of_each_name_that_autogen_exports_where_it_is() -> None:
    """Ours: what cannot be imported from here says where it is."""
    text = section("Names to import")[""]
    table = rows(text)
    here = set(re.findall(r"`(\w+)`", text)) - table.keys()
    assert set(autogen.__all__) <= here | table.keys()
    for name in here:
        assert hasattr(a2a_bridge, name), name
    for name, instead in table.items():
        with pytest.raises(ImportError, match=re.escape(f"a2a_bridge has no {name}: {instead}")):
            getattr(a2a_bridge, name)
        if instead.startswith("from a2a_bridge") and " or " not in instead:
            exec(instead, {})


def test_the_import_line_of_the_page_works() -> None:
    """Ours: as every block of the documentation."""
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    exec(block, {})


def scripted(package: Any, name: str, lines: str) -> Any:
    """An agent of a package that says these words, one after another."""
    agent = package.ConversableAgent(name, llm_config=False, human_input_mode="NEVER")
    words = iter(lines.split())
    agent.register_reply(
        [package.ConversableAgent, None],
        lambda recipient, messages, sender, config: (True, next(words)),
    )
    return agent


def told(messages: Any) -> list[tuple[str, str, str]]:
    return [(said["role"], said["name"], said["content"]) for said in messages]


def read_afterwards(package: Any) -> dict[str, Any]:
    """What a program reads of a chat of two and of a room, after both have ended."""
    ann, ben = scripted(package, "ann", "one two three"), scripted(package, "ben", "uno dos tres")
    two = ann.initiate_chat(ben, message="hello", max_turns=2, silent=True)
    found = {
        "history": told(two.chat_history),
        "own": told(ann.chat_messages[ben]),
        "other": told(ben.chat_messages[ann]),
        "nobody": ann.chat_messages[ann],
        "last": told([ann.last_message(ben), ben.last_message()]),
        "summed up": told(ben.chat_messages_for_summary(ann)),
        "id": type(two.chat_id),
        "used": ann.get_total_usage(),
        "limit": ann.max_consecutive_auto_reply(),
        "llm_config": ann.llm_config,
    }
    human = package.UserProxyAgent("human", human_input_mode="NEVER", code_execution_config=False)
    ann, ben = scripted(package, "ann", "one two three"), scripted(package, "ben", "uno dos tres")
    seen: list[Any] = []

    def choose(last: Any, chat: Any) -> Any:
        seen.append((last.name, told(chat.messages), chat.next_agent(last, [ann, ben]).name))
        return [ann, ben][len(chat.messages) % 2] if len(chat.messages) < 4 else None

    def summed_up(sender: Any, recipient: Any, words: Any) -> str:
        return f"{recipient.last_message(sender)['content']}, {len(recipient.chat_messages[sender])}"

    chat = package.GroupChat([human, ann, ben], messages=[], max_round=6, speaker_selection_method=choose)
    manager = package.GroupChatManager(chat, llm_config=False)
    group = human.initiate_chat(manager, message="hello all", silent=True, summary_method=summed_up)
    found |= {
        "group": told(group.chat_history),
        "summary": group.summary,
        "room": told(chat.messages),
        "of a seat": told(ann.chat_messages[manager]),
        "of the manager": {agent.name: told(said) for agent, said in manager.chat_messages.items()},
        "the manager's summary": told(manager.chat_messages_for_summary(ann)),
        "newest": told([manager.last_message(ann)]),
        "speaker": manager.last_speaker.name,
        "seen": seen,
        "names": chat.agent_names,
        "next": chat.next_agent(ben).name,
    }
    manager.reset()
    ann.reset()
    return found | {"reset": (chat.messages, ann.chat_messages[manager])}


@pytest.mark.filterwarnings("ignore")
def test_what_is_read_after_a_conversation_is_what_autogen_gives() -> None:
    """AutoGen: the roles of a history are those that its agent sees. The same program, run with both packages."""
    ours = read_afterwards(a2a_bridge)
    assert ours == read_afterwards(autogen)
    assert ours["group"][:2] == [("assistant", "human", "hello all"), ("user", "ben", "uno")]
