"""The names that spans carry, in one place: the conventions for A2A and for generative AI are still in development.

Span names: an A2A operation is called as its method, `invoke_agent NAME` is one turn of one agent, `invoke_workflow
NAME` one run of a room, `chat MODEL` one model call, `execute_tool NAME` one tool call. Only metadata is recorded:
ids, names, states and counts, never words.
"""

from typing import Final

METHOD: Final = "a2a.method.name"
BINDING: Final = "a2a.protocol.binding"
VERSION: Final = "a2a.protocol.version"
MESSAGE_ID: Final = "a2a.message.id"
TASK_ID: Final = "a2a.task.id"
TASK_STATE: Final = "a2a.task.state"
TENANT: Final = "a2a.tenant"

CONVERSATION: Final = "gen_ai.conversation.id"
SESSION: Final = "session.id"
"""The same as the conversation: some tools group by this one."""
OPERATION: Final = "gen_ai.operation.name"
AGENT: Final = "gen_ai.agent.name"
WORKFLOW: Final = "gen_ai.workflow.name"
MODEL: Final = "gen_ai.request.model"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
TOOL: Final = "gen_ai.tool.name"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"

ADDRESS: Final = "server.address"
ERROR_TYPE: Final = "error.type"

INVOKE_AGENT: Final = "invoke_agent"
INVOKE_WORKFLOW: Final = "invoke_workflow"
EXECUTE_TOOL: Final = "execute_tool"
CHAT: Final = "chat"
PUSH: Final = "push_notification"
SELECT_SPEAKER: Final = "groupchat.select_speaker"
CHOSEN: Final = "groupchat.speaker"
CHOSEN_BY: Final = "groupchat.chosen_by"
STOP: Final = "groupchat.stop"
