"""Running the code that somebody in the conversation has written: the `code` step of an agent's reply.

What is run twice is a mistake that may cost something, so where a person is asked first, the journal remembers that a
run has begun: if the process is killed in between, the run is reported as interrupted and not made again.
"""

import base64
import hashlib
import mimetypes
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from a2a_bridge.agent import Ask, Chunk, ToolCall, ToolResult, run_in_thread
from a2a_bridge.chat.approval import NO, YES, ask_about_code, decided, said_to
from a2a_bridge.chat.exchange import Exchange, Replying
from a2a_bridge.chat.execution.blocks import blocks_in
from a2a_bridge.chat.execution.config import CodeExecution
from a2a_bridge.chat.execution.contract import CodeBlock, CodeResult
from a2a_bridge.chat.ledger import Ledger
from a2a_bridge.chat.spoken import Spoken
from a2a_bridge.protocol.objects import Message, Part, Role

REFUSED = "exitcode: 1 (not run)\nCode output: a person did not agree to run this code."


async def code(agent: Replying, exchange: Exchange) -> AsyncGenerator[Spoken, None]:
    """Run the blocks of the newest messages, and reply with what came of them."""
    execution = agent.execution
    if execution is None:
        return
    run = await _planned(exchange, execution)
    if run is None:
        if exchange.answers("code") or not (execution.remote or await exchange.is_ours()):
            return
        recent = _recent(await exchange.messages(), execution)
        blocks = blocks_in(message.text for message in recent)
        if not blocks:
            return
        run = _CodeRun(exchange, execution, blocks, _files_of(recent), recent[-1].message_id)
    verdict = await run.verdict()
    if verdict is None:
        yield await run.ask()
        return
    if not verdict:
        yield REFUSED
        return
    yield ToolCall(run.digest, "execute_code", [{"language": each.language, "code": each.code} for each in run.blocks])
    result = await run.once()
    if result is None:
        yield ToolResult(run.digest, "interrupted", is_error=True)
        yield "exitcode: 1 (interrupted)\nCode output: the run was interrupted; it is not known how far it came."
        return
    yield ToolResult(run.digest, {"exit_code": result.exit_code, "output": result.output}, result.exit_code != 0)
    for name, data in result.files.items():
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        yield Chunk(parts=(Part(raw=data, filename=name, media_type=kind),), artifact=name, append=False)
    yield report(result)


def _recent(messages: Sequence[Message], execution: CodeExecution) -> list[Message]:
    """The messages that are looked at, oldest first; the agent's own words are never run."""
    if execution.last_n_messages != "auto":
        return [each for each in messages[-execution.last_n_messages :] if each.role is Role.USER]
    found: list[Message] = []
    for message in reversed(messages):
        if message.role is Role.AGENT:
            break
        found.append(message)
    return found[::-1]


def report(result: CodeResult) -> str:
    """What came of a run, as AutoGen says it."""
    how = "execution succeeded" if result.exit_code == 0 else "execution failed"
    if result.stopped_by == "timeout":
        how = "its time was over"
    elif result.stopped_by == "memory":
        how = "it used too much memory"
    lines = [f"exitcode: {result.exit_code} ({how})", f"Code output: {result.output.strip()}"]
    if result.is_cut:
        lines.append("(there was more output, which is not kept)")
    if result.files:
        lines.append(f"Files: {', '.join(result.files)}")
    return "\n".join(lines)


def _files_of(messages: Sequence[Message]) -> dict[str, bytes]:
    """The files that came with the messages, by their last name."""
    parts = (part for message in messages for part in message.parts)
    return {PurePosixPath(each.filename).name or "file": each.raw for each in parts if each.raw and each.filename}


async def _planned(exchange: Exchange, execution: CodeExecution) -> "_CodeRun | None":
    """The run that a person was asked about, when this turn brings the answer: what was shown, and nothing else."""
    if execution.approval != "human" or not exchange.answers("code"):
        return None
    plan = (await Ledger(exchange.turn.journal.child("code")).load()).plan
    if plan is None:
        return None
    blocks = [CodeBlock(*each) for each in plan["blocks"]]
    files = {name: base64.b64decode(data) for name, data in plan["files"].items()}
    return _CodeRun(exchange, execution, blocks, files, plan["message"])


class _CodeRun:
    """One run, which is made at most once."""

    def __init__(
        self,
        exchange: Exchange,
        execution: CodeExecution,
        blocks: Sequence[CodeBlock],
        files: Mapping[str, bytes],
        message: str,
    ) -> None:
        self._exchange = exchange
        self._execution = execution
        self.blocks = blocks
        self._files = files
        self._message = message
        told = "\n".join([message, *(f"{each.language} {each.code}" for each in blocks)])
        self.digest = hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()[:16]

    async def verdict(self) -> bool | None:
        """Whether it may be run; None: a person must be asked, or asked again."""
        approval = self._execution.approval
        if approval is None:
            return True
        if callable(approval):
            return await decided(approval, self.blocks)
        answer = self._exchange.turn.answer
        if answer is None or not self._exchange.answers("code"):
            return None
        if answer.asks[0].id != f"code:{self.digest}":  # the code is not what the person has seen
            return None
        return {YES: True, NO: False}.get(said_to(answer, answer.asks[0].id) or "")

    async def ask(self) -> Ask:
        """The question; what it is about is kept until the answer comes."""
        ledger = await Ledger(self._exchange.turn.journal.child("code")).load()
        await ledger.pause(
            {
                "message": self._message,
                "blocks": [[each.language, each.code, each.filename] for each in self.blocks],
                "files": {name: base64.b64encode(data).decode() for name, data in self._files.items()},
            }
        )
        shown = "\n\n".join(f"{each.language}:\n{each.code.strip()}" for each in self.blocks)
        return ask_about_code(shown, self.digest)

    async def once(self) -> CodeResult | None:
        """The run itself; None if it was begun before, and did not end."""
        if self._execution.approval != "human":
            return await self._run()
        ledger = await Ledger(self._exchange.turn.journal.child("code")).load()
        standing = ledger.standing(self.digest)
        if standing == "begun":
            return None
        if standing == "done":
            kept: Any = ledger.result(self.digest)
            return CodeResult(kept["exit_code"], kept["output"])
        await ledger.begin(self.digest)
        result = await self._run()
        await ledger.finish(self.digest, {"exit_code": result.exit_code, "output": result.output})
        return result

    async def _run(self) -> CodeResult:
        files = {**await run_in_thread(self._execution.given), **self._files}
        result = await self._execution.executor.execute(self.blocks, files)
        await run_in_thread(lambda: self._execution.take(result.files))
        return result
