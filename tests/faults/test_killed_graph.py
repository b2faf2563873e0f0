"""A framework's own checkpoints and ours meet again after a kill."""

from pathlib import Path
from typing import Any


async def test_a_graph_that_waits_for_a_human_is_killed_and_goes_on_with_the_answer(
    eraser: Any, tmp_path: Path
) -> None:
    """Issue 5, part 1: the pause outlives the process where the framework can save its state; no step runs twice."""
    waiting = await eraser.wire("eraser").send("Make room.")
    assert waiting["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    await eraser.kill()
    await eraser.start()
    assert await eraser.wire("eraser").get(waiting["id"]) == waiting
    done = await eraser.wire("eraser").send("yes", taskId=waiting["id"])
    assert done["status"]["state"] == "TASK_STATE_COMPLETED"
    assert "You said yes." in str(done["artifacts"])
    assert (tmp_path / "done.txt").read_text() == "planned\nerased\n"
