"""What is counted and traced of a turn, when somebody has switched it on."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from time import perf_counter

from a2a_bridge.observe import metrics, names
from a2a_bridge.observe.spans import span
from a2a_bridge.protocol.objects import TaskState
from a2a_bridge.tasks.live import LiveTask


@asynccontextmanager
async def watched(live: LiveTask, name: str) -> AsyncGenerator[None, None]:
    """Around one turn of the agent called `name`: the span `invoke_agent NAME`, and the metrics of tasks."""
    who, counted, began = live.who, metrics.active, perf_counter()
    attributes = {
        names.OPERATION: names.INVOKE_AGENT,
        names.AGENT: name,
        names.TASK_ID: who.task_id,
        names.CONVERSATION: who.context_id,
        names.SESSION: who.context_id,
    }
    if counted is not None:
        counted.in_progress.labels(who.agent).inc()
    try:
        with span(f"{names.INVOKE_AGENT} {name}", "internal", attributes) as made:
            try:
                yield
            finally:
                state, used = live.pieces.state, live.pieces.usage or {}
                made.set(names.TASK_STATE, state.value)
                made.set(names.INPUT_TOKENS, used.get("inputTokens"))
                made.set(names.OUTPUT_TOKENS, used.get("outputTokens"))
                made.set(names.MODEL, used.get("model"))
                if state is TaskState.FAILED:
                    made.fail(state.value)
    finally:
        if counted is not None:
            state = live.pieces.state
            counted.in_progress.labels(who.agent).dec()
            counted.tasks.labels(who.agent, state.value).inc()
            counted.task_seconds.labels(who.agent, state.value).observe(perf_counter() - began)
