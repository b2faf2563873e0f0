"""A copy of an agent, or of a whole group chat, for each turn.

AutoGen's classic agents hold their conversations and counters, and a group chat its messages. So every turn gets
copies of what was published, as it was at that moment: whoever goes on using the original is not overheard. Copies
are made of agents, group chats, and what they keep in lists and dicts; methods of theirs that are kept somewhere are
bound to the copies. An agent that leads conversations somewhere else begins anew. All else is shared: functions, tools,
code executors, and model clients, whose usage is counted for each copy; those of OpenAI are not the original's, but on
its connections. A function that holds an agent itself (in a closure, or as a global of its module) would go on using
the original; such a chat is refused, and given as a function that makes it.
"""

import copy
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakMethod

from autogen import ConversableAgent, GroupChat
from autogen.agentchat.group.context_variables import ContextVariables
from autogen.oai.client import OpenAIWrapper

from a2a_bridge.errors import AdapterError

_TAKEN_APART = (ConversableAgent, GroupChat)


class LeadsConversations:
    """An agent that leads conversations somewhere else: those of the original are not its copy's."""

    def begin_anew(self) -> None:
        """On a copy: forget them, and how they are found again."""


_PLAIN = frozenset({str, int, float, bool, bytes, type(None), type, FunctionType})
"""What is shared, told by its class at once: it is most of what there is."""

Memo = dict[int, Any]
"""What has been copied already, by id."""

Copier = Callable[[Any, Memo], Any]


def copied(value: Any, memo: Memo | None = None) -> Any:
    """The value for one turn."""
    copier = _copier(type(value))  # type: ignore[arg-type]  # a metaclass is hashable
    return value if copier is None else copier(value, {} if memo is None else memo)


@lru_cache(maxsize=1024)
def _copier(kind: type) -> Copier | None:
    """How values of a class are copied; None: they are shared. AutoGen's protocols are asked once for each class,
    because that costs more than all copying."""
    if issubclass(kind, _TAKEN_APART):
        return _object
    if issubclass(kind, ContextVariables):
        return copy.deepcopy
    return _wrapper if issubclass(kind, OpenAIWrapper) else _COPIERS.get(kind)


def _object(value: Any, memo: Memo) -> Any:
    if id(value) not in memo:
        made = memo[id(value)] = object.__new__(type(value))
        copies = [(name, copied(held, memo)) for name, held in vars(value).items() if type(held) not in _PLAIN]
        vars(made).update(vars(value))
        vars(made).update(copies)
        if isinstance(made, LeadsConversations):
            made.begin_anew()
    return memo[id(value)]


def _wrapper(value: Any, memo: Memo) -> Any:
    if id(value) not in memo:
        made = memo[id(value)] = object.__new__(type(value))
        clients = list(clients_of(value))
        vars(made).update(vars(value), _clients=clients, actual_usage_summary=None, total_usage_summary=None)
    return memo[id(value)]


def _method(value: Any, memo: Memo) -> Any:
    if not isinstance(value.__self__, _TAKEN_APART):
        return value
    return MethodType(value.__func__, copied(value.__self__, memo))


class _Weak:
    """A method that does not keep its object: an agent holds such a one of its own, and copies that hold themselves
    would wait for the garbage collector."""

    def __init__(self, method: Any) -> None:
        self.method = WeakMethod(method)

    def __call__(self) -> Any:
        method = self.method()
        return method() if method is not None else None


def _defaultdict(value: Any, memo: Memo) -> Any:
    if id(value) not in memo:
        factory = value.default_factory
        factory = copied(factory.method() if type(factory) is _Weak else factory, memo)
        memo[id(value)] = defaultdict(_Weak(factory) if type(factory) is MethodType else factory)
        memo[id(value)].update((copied(key, memo), copied(held, memo)) for key, held in value.items())
    return memo[id(value)]


def _dict(value: Any, memo: Memo) -> Any:
    if id(value) not in memo:
        made = memo[id(value)] = {}
        for key, held in value.items():
            made[key if type(key) is str else copied(key, memo)] = held if type(held) in _PLAIN else copied(held, memo)
    return memo[id(value)]


def _list(value: Any, memo: Memo) -> Any:
    if id(value) not in memo:
        made = memo[id(value)] = []
        made.extend([held if type(held) in _PLAIN else copied(held, memo) for held in value])
    return memo[id(value)]


def _plain(value: Any, memo: Memo) -> Any:
    """A tuple or a set: nothing of AutoGen's holds itself in one."""
    return type(value)([copied(held, memo) for held in value])


_COPIERS: Mapping[type, Copier] = {
    MethodType: _method, defaultdict: _defaultdict, dict: _dict, list: _list, tuple: _plain, set: _plain
}  # fmt: skip


def members(obj: Any) -> list[Any]:
    """The agents of a chat, its manager last; of a single agent, itself."""
    chat = getattr(obj, "groupchat", None)
    return [*chat.agents, obj] if isinstance(chat, GroupChat) else [obj]


def clients_of(wrapper: Any) -> list[Any]:
    """The clients of an agent's model, one for each provider: the list itself. None for an agent without a model."""
    found: list[Any] = vars(wrapper).get("_clients", []) if wrapper else []
    return found


def check_replies(obj: Any) -> None:
    """AdapterError for an agent that could answer in an event loop only."""
    for agent in members(obj):
        for entry in vars(agent)["_reply_func_list"]:
            if inspect.iscoroutinefunction(entry["reply_func"]) and not entry["ignore_async_in_sync_chat"]:
                raise AdapterError(
                    f"{agent.name!r} has an async reply function without a sync one. Register a sync one beside it,"
                    " and the async one with ignore_async_in_sync_chat=True"
                )


def _check_functions(obj: Any) -> None:
    for agent in members(obj):
        for entry in vars(agent)["_reply_func_list"]:
            _check_function(agent.name, entry["reply_func"])
        for hook in (hook for hooks in agent.hook_lists.values() for hook in hooks):
            _check_function(agent.name, hook)
    if isinstance(chat := getattr(obj, "groupchat", None), GroupChat):
        _check_function(obj.name, chat.speaker_selection_method)


def _check_function(name: str, function: Any) -> None:
    if isinstance(function, FunctionType) and any(
        isinstance(held, ConversableAgent | GroupChat) for held in _held(function)
    ):
        raise AdapterError(
            f"{name!r} cannot be copied for each turn: its function {function.__name__!r} holds an agent itself. Give a"
            " function that makes it all instead: adapters.ag2_classic.adapter.ADAPTER.adapt(make_manager)"
        )


def _held(function: FunctionType) -> Iterator[Any]:
    found = inspect.getclosurevars(function)
    waiting, seen = [*found.nonlocals.values(), *found.globals.values()], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, list | tuple | set | dict):
            if id(value) not in seen:
                seen.add(id(value))
                waiting += value.values() if isinstance(value, dict) else value
        else:
            yield value


def maker(obj: Any) -> Callable[[], Any]:
    """What makes an object for one turn: the function that was given, or a copier of the object as it is now."""
    if not isinstance(obj, ConversableAgent):
        return partial(_made, obj)
    _check_functions(obj)
    template = copied(obj)
    for agent in members(template):
        clients = clients_of(agent.client)
        clients[:] = [_own_client(client) for client in clients]
    return partial(copied, template)


def _made(make: Callable[[], Any]) -> Any:
    """What a function makes for one turn."""
    obj = make()
    for agent in members(obj):
        if isinstance(agent, LeadsConversations):
            agent.begin_anew()
    return obj


def _own_client(client: Any) -> Any:
    """The client of one provider; for OpenAI one that only copies have, on the same connections: it is changed."""
    provider = vars(client).get("_oai_client")
    if not hasattr(provider, "with_options"):
        return client
    made = object.__new__(type(client))
    vars(made).update(vars(client), _oai_client=provider.with_options())
    return made
