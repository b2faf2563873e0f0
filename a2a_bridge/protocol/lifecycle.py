"""Which state of a task may follow which (A2A 1.0.1 §4.1.3, R-CTX and the state machine of our reading)."""

from a2a_bridge.protocol.objects import TaskState


def may_follow(before: TaskState | None, after: TaskState) -> bool:
    """Whether a task may go from `before` (None: it does not exist yet) to `after`.

    SUBMITTED leads anywhere; WORKING anywhere but back; an interrupted task goes on working, asks again or ends;
    nothing follows a terminal state. WORKING may follow WORKING: progress is told that way.
    """
    if after is TaskState.UNSPECIFIED or (before is not None and before.is_terminal):
        return False
    if after is TaskState.SUBMITTED:
        return before is None
    return True
