"""What the classic objects of AutoGen have and ours have not, each with what does it here: the only list of it.

It answers whoever reads such an attribute, and whoever writes a subclass that overrides a method which nothing here
would call. `docs/moving-from-autogen.md` shows it, and the tests compare it with AutoGen's own classes.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

_REPLY = "register_reply(...) puts a function into the chain of replies; middleware=[...] goes around it"
_GUARD = "register_hook('safeguard_llm_inputs', ...) and its like see and change what goes in and out; see chat.hooks"
_TOOL = "give the agent tools=[...], or use register_for_llm and register_for_execution"
_RUNS = "read agent.function_map; the calls of a model are made while the agent has its turn"
_CODE = "give the agent code_executor=... or code_execution_config=..., which runs the code that others write"
_ITER = "async for event in manager.stream(task): what happens in a room, as it happens"
_SILENT = "say it where the conversation starts: initiate_chat(..., silent=True)"
_HANDOFF = "say it in the constructor: handoffs=[Handoff(to, when=...)] of a2a_bridge.chat.handoff"
_TEMPLATE = "a chooser whose answer cannot be used is told exactly why, and is asked again"
_CHOICE = "GroupChat(speaker_selection_method=...) takes a function of (last_speaker, groupchat), sync or async"

AGENT: Mapping[str, str] = {
    "DEFAULT_CONFIG": "llm_config=False or None means no model",
    "DEFAULT_DESCRIPTION": "a description does not follow from the class: say description=...",
    "DEFAULT_SUMMARY_METHOD": "it is 'last_msg': initiate_chat(summary_method=...)",
    "DEFAULT_SUMMARY_PROMPT": "initiate_chat(summary_args={'summary_prompt': ...}) says another one",
    "DEFAULT_USER_PROXY_AGENT_DESCRIPTIONS": "a description does not follow from the mode: say description=...",
    "a_check_termination_and_human_reply": _REPLY,
    "a_execute_function": _RUNS,
    "a_generate_function_call_reply": _REPLY,
    "a_generate_init_message": "initiate_chat(message=...) takes a function of (sender, recipient, context)",
    "a_generate_oai_reply": _REPLY,
    "a_generate_tool_calls_reply": _REPLY,
    "a_get_human_input": "give the agent human=..., a function of the question; a subclass may still define it",
    "a_run": "await agent.a_initiate_chat(recipient, message=...)",
    "a_run_iter": _ITER,
    "a_sequential_run": "await agent.a_initiate_chats([...])",
    "can_execute_function": "ask whether the name is in agent.function_map",
    "check_termination_and_human_reply": _REPLY,
    "client": "agent.model is what it speaks with",
    "client_cache": "initiate_chat(cache=Cache.disk(...)) of a2a_bridge.chat.cache, or 'cache_seed' in llm_config",
    "execute_code_blocks": _CODE,
    "execute_function": _RUNS,
    "generate_code_execution_reply": _REPLY,
    "generate_function_call_reply": _REPLY,
    "generate_init_message": "initiate_chat(message=...) takes a function of (sender, recipient, context)",
    "generate_oai_reply": _REPLY,
    "generate_tool_calls_reply": _REPLY,
    "get_chat_results": "initiate_chats returns them",
    "get_human_input": "give the agent human=..., a function of the question; a subclass may still define it",
    "hook_lists": "register_hook(...) adds one; see chat.hooks",
    "input_guardrails": _GUARD,
    "output_guardrails": _GUARD,
    "process_all_messages_before_reply": "register_hook('process_all_messages_before_reply', ...)",
    "process_last_received_message": "register_hook('process_last_received_message', ...)",
    "register_handoff": _HANDOFF,
    "register_handoffs": _HANDOFF,
    "register_input_guardrail": _GUARD,
    "register_input_guardrails": _GUARD,
    "register_model_client": "llm_config=... takes any object with a name and a method stream, see chat.model.Model",
    "register_output_guardrail": _GUARD,
    "register_output_guardrails": _GUARD,
    "remove_tool_for_llm": _TOOL,
    "reply_at_receive": "every conversation is driven by who opened it: there is nothing to switch",
    "reset_consecutive_auto_reply_counter": "replies are counted anew in every conversation",
    "run_code": _CODE,
    "run_executor": _CODE,
    "run_input_guardrails": _GUARD,
    "run_iter": _ITER,
    "run_output_guardrails": _GUARD,
    "sequential_run": "agent.initiate_chats([...])",
    "set_ui_tools": _TOOL,
    "silent": _SILENT,
    "stop_reply_at_receive": "manager.finish(room_id) and manager.cancel(room_id) end a room that runs",
    "unset_ui_tools": _TOOL,
    "update_agent_state_before_reply": "register_hook('update_agent_state', ...)",
    "update_function_signature": _TOOL,
    "update_tool_signature": _TOOL,
    "use_docker": "agent.code_executor says what runs the code",
}
"""Of `ConversableAgent`, `AssistantAgent` and `UserProxyAgent`."""

CHAT: Mapping[str, str] = {
    "DEFAULT_INTRO_MSG": "GroupChat(send_introductions=True) writes it",
    "a_auto_select_speaker": _CHOICE,
    "a_select_speaker": _CHOICE,
    "allowed_speaker_transitions_dict": "read groupchat.allowed_or_disallowed_speaker_transitions",
    "append": "a room begins with GroupChat(messages=[...]); manager.interject(room_id, text) speaks in one that runs",
    "eligibility_policies": "GroupChat(eligibility=...) takes functions of (agent, groupchat)",
    "enable_clear_history": "initiate_chat(clear_history=...) says whether a conversation begins anew",
    "func_call_filter": "only agents that a tool is registered with for execution run it",
    "introductions_msg": "GroupChat(send_introductions=True) writes it",
    "manual_select_speaker": _CHOICE,
    "nested_agents": "a room in a room is a seat like any other: read groupchat.agents",
    "random_select_speaker": _CHOICE,
    "select_speaker": _CHOICE,
    "select_speaker_auto_llm_config": "GroupChat(speaker_selection_method=Selector('auto', model=...))",
    "select_speaker_auto_model_client_cls": "GroupChat(speaker_selection_method=Selector('auto', model=...))",
    "select_speaker_auto_multiple_template": _TEMPLATE,
    "select_speaker_auto_none_template": _TEMPLATE,
    "select_speaker_auto_verbose": "every choice and its reason is printed, and kept in result.decisions",
    "select_speaker_msg": "GroupChat(select_speaker_message_template=...) is what the chooser is told first",
    "select_speaker_prompt": "GroupChat(select_speaker_prompt_template=...) is what the chooser is told last",
    "select_speaker_transform_messages": "the chooser reads the conversation as quoted data, and all of it",
}
"""Of `GroupChat`, and of the room that a selection function is given."""

MANAGER: Mapping[str, str] = {
    "a_resume": "await manager.resume(...)",
    "a_run_chat": "await manager.chat(task)",
    "clear_agents_history": "a seat reads what its View says: Seat(agent, view=View.window(8))",
    "human_input_mode": "the manager asks nobody itself; human=... answers what seats ask",
    "a_initiate_chat": "an agent of the room opens it: await agent.a_initiate_chat(manager, message=...)",
    "initiate_chat": "an agent of the room opens it: agent.initiate_chat(manager, message=...)",
    "max_consecutive_auto_reply": "GroupChat(max_round=...) says how long a room talks",
    "messages_from_string": "json.loads(text)",
    "messages_to_string": "json.dumps(groupchat.messages)",
    "run_chat": "await manager.chat(task)",
    "system_message": "its model chooses by the roles of the agents; GroupChat(select_speaker_message_template=...)",
}
"""Of `GroupChatManager`, besides what it has there as a `ConversableAgent`."""

NO_PART = "the manager takes no part in the conversation; give it to an agent in the room"
"""What holds of everything else that a `GroupChatManager` of AutoGen has as a `ConversableAgent`."""

_OF_AGENTS = frozenset({
    "a_generate_reply", "a_initiate_chats", "a_receive", "a_send", "code_executor", "context_variables",
    "function_map", "generate_reply", "handoffs", "initiate_chats", "print_usage_summary", "receive",
    "register_for_execution", "register_for_llm", "register_function", "register_hook", "register_nested_chats",
    "register_reply", "replace_reply_func", "send", "tools", "update_max_consecutive_auto_reply",
    "update_system_message", "MAX_CONSECUTIVE_AUTO_REPLY", "get_actual_usage", "get_total_usage",
})  # fmt: skip
"""What our agents have and our manager has not."""

ALL: Mapping[str, Mapping[str, str]] = {
    "agent": AGENT,
    "chat": CHAT,
    "manager": {**dict.fromkeys((*AGENT, *_OF_AGENTS), NO_PART), **MANAGER},
}
"""By kind of object: an agent, a group chat, a manager."""

_UNCALLED = frozenset({"a_generate_reply", "a_receive", "a_send", "generate_reply", "receive", "send"})
"""Methods of ours that a program may call, and that no conversation calls."""
_MAY_BE_DEFINED = frozenset({"a_get_human_input", "get_human_input"})


def missing_member(owner: object, kind: str, name: str) -> NoReturn:
    """The AttributeError for what AutoGen has and this version has not; it says what to use."""
    found = ALL[kind].get(name)
    what = type(owner).__name__
    if found is None:
        raise AttributeError(f"{what!r} object has no attribute {name!r}", name=name, obj=owner)
    raise AttributeError(f"{what}.{name} is AutoGen's and not here: {found}", name=name, obj=owner)


def check_overrides(cls: type[Any], kind: str) -> None:
    """Raise the TypeError for a subclass that defines a method of AutoGen's which nothing here would call."""
    known = ALL[kind]
    for name, value in vars(cls).items():
        if name in _MAY_BE_DEFINED or not callable(value) or name.startswith("__"):
            continue
        if kind == "agent" and name in _UNCALLED:
            raise TypeError(f"{cls.__name__}.{name} would never be called in a conversation: {_REPLY}")
        if name in known:
            raise TypeError(f"{cls.__name__}.{name} would never be called: {known[name]}")
