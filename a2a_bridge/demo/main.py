"""`scripts/demo` and `a2a-bridge demo`: agents of several frameworks, over A2A, in one conversation.

This process hosts the embedded model, if no other is named, and the room; each agent of a framework gets a process of
its own (`processes.py` says how they end). Everything happens inside one `with` statement, and whatever ends the demo
ends it there.
"""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack

from a2a_bridge.agent import Usage
from a2a_bridge.chat.entry import Entry
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.demo.endpoint import EMBEDDED, Endpoint, endpoint_in
from a2a_bridge.demo.model import EmbeddedModel
from a2a_bridge.demo.options import Options, parse
from a2a_bridge.demo.processes import Children, Signals
from a2a_bridge.demo.room import build_room
from a2a_bridge.demo.seats import plans, start_all
from a2a_bridge.demo.served import served
from a2a_bridge.demo.show import JsonShow, Show, TextShow, converse, tokens_table
from a2a_bridge.demo.tour import tour
from a2a_bridge.errors import BridgeError

SECOND_QUESTION = "What should a small bank in Cape Town do first?"
SECOND_ROUNDS = 3

_CLIENT = (
    "from a2a_bridge.demo.processes import watch_parent; watch_parent(); import runpy, sys;"
    " sys.argv[0] = 'a2a-bridge'; runpy.run_module('a2a_bridge', run_name='__main__')"
)
"""The command line client, as `python -m a2a_bridge` starts it, under the death watch of the demo's processes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code is 0 if every seat that could speak did, and the room answered as an agent too, or if
    the tour has shown what it is for."""
    options = parse(sys.argv[1:] if arguments is None else arguments, prog="a2a-bridge demo")
    logging.disable(logging.INFO)  # this process talks to a person; warnings still appear
    show: Show = JsonShow(sys.stdout, sys.stderr) if options.json else TextShow(sys.stdout)
    try:
        show.note(
            "A tour: a tool, code in a sandbox, a person, and a room that is killed and goes on."
            if options.tour
            else "A conversation of agents of several frameworks, each behind its own A2A endpoint."
        )
        with Signals() as signals, ExitStack() as stack:
            endpoint = _endpoint(stack, show)
            children = stack.enter_context(Children(signals))
            began = time.monotonic()
            code = tour(options, endpoint, children, show) if options.tour else _demo(options, endpoint, children, show)
            show.note(f"\nThat took {time.monotonic() - began:.0f} s; all processes are being ended.")
            return code
    except BridgeError as error:
        print(f"The demo cannot go on: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has had enough, as in `demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _endpoint(stack: ExitStack, show: Show) -> Endpoint:
    """The model that the environment names, or the embedded one, started."""
    named = endpoint_in(os.environ)
    if named is not None:
        show.note(f"Model: {named.model} at {named.base_url}, as your environment says.")
        return named
    model: AbstractContextManager[EmbeddedModel] = EmbeddedModel()
    url = stack.enter_context(model).base_url
    show.note(
        f"Model: SmolLM2-135M-Instruct, on this machine, at {url}.\n"
        "  The tokens are real, the model is tiny, and the facts that it states are invented.\n"
        "  It cannot choose who speaks: it is asked, and then the seat that has been silent longest is chosen.\n"
        "  A better one: OPENAI_API_KEY=..., or OPENAI_BASE_URL=... of any OpenAI-compatible endpoint;\n"
        "  OPENAI_MODEL=... names the model."
    )
    return Endpoint(EMBEDDED, url, "none")


def _demo(options: Options, endpoint: Endpoint, children: Children, show: Show) -> int:
    urls = start_all(plans(options.crewai_python, show.note), children, endpoint, show.note)
    entries = asyncio.run(converse(build_room(endpoint, urls, options.rounds), options.question, show))
    show.note(f"\n{tokens_table(_used(entries))}")
    silent = _silent(entries, options.rounds)
    second = _ask_as_agent(build_room(endpoint, urls, min(options.rounds, SECOND_ROUNDS)), children, show)
    if silent:
        show.note(f"Never spoke, although there were rounds enough: {', '.join(silent)}.")
    return 1 if silent or second else 0


def _used(entries: Sequence[Entry]) -> list[tuple[str, Usage]]:
    """Who used how many tokens, in the order in which they first did."""
    found: dict[str, Usage] = {}
    for entry in entries:
        if entry.usage is not None and entry.speaker is not None:
            found[entry.speaker.name] = found.get(entry.speaker.name, Usage()) + entry.usage
    return list(found.items())


def _silent(entries: Sequence[Entry], rounds: int) -> list[str]:
    """The candidates that never spoke, if there were rounds enough for all."""
    candidates = {name for entry in entries if entry.why is not None for name in entry.why.candidates}
    spoke = {entry.speaker.name for entry in entries if entry.kind == "said" and entry.turn and entry.speaker}
    return sorted(candidates - spoke) if rounds >= len(candidates) else []


def _ask_as_agent(manager: GroupChatManager, children: Children, show: Show) -> int:
    """Publish the room and ask it something through the command line client; the client's exit code."""
    with served(manager, children.folder) as url:
        show.note(f"\nA room is an agent too. It is published at {url}, and asked through the command line client:")
        show.note(f'$ a2a-bridge send --agent-card {url} "{SECOND_QUESTION}"')
        command = [sys.executable, "-c", _CLIENT, "send", "--agent-card", url, SECOND_QUESTION]
        return children.run(command, os.environ, lambda line: show.note(f"  {line}"))
