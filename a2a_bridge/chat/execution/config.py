"""When an agent runs code, what it looks at, and who must agree: AutoGen's `code_execution_config`, and ours."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from a2a_bridge.chat.execution.archive import plain_name
from a2a_bridge.chat.execution.bubblewrap import BubblewrapExecutor
from a2a_bridge.chat.execution.contract import CodeBlock, CodeExecutor, Limits
from a2a_bridge.chat.execution.docker import IMAGE, DockerExecutor
from a2a_bridge.errors import CodeExecutionError

CodeApproval = Literal["human"] | Callable[[Sequence[CodeBlock]], bool | Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class CodeExecution:
    """How an agent runs the code that others write.

    `last_n_messages`: how many of the newest messages are looked at, "auto" for all since the agent's own last one.
    `approval`: "human" for a person who is asked in the conversation, or a function (sync or async) of the blocks.
    `work_dir`: a folder whose files are given to every run, and into which new and changed ones are written; all
    conversations of the agent share it. Without it each run begins empty, with the files that came with the messages.
    `remote`: code from remote agents, and from callers of a published agent, is run too.
    """

    executor: CodeExecutor
    last_n_messages: int | Literal["auto"] = "auto"
    approval: CodeApproval | None = None
    work_dir: str | Path | None = None
    remote: bool = False

    def __post_init__(self) -> None:
        count = self.last_n_messages
        if count != "auto" and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
            raise ValueError(f"last_n_messages={count!r}: a number from 1, or 'auto'")

    def given(self) -> dict[str, bytes]:
        """The files of `work_dir`. Reads the disk."""
        if self.work_dir is None:
            return {}
        root = Path(self.work_dir)
        limits = self.executor.limits
        found: dict[str, bytes] = {}
        left = limits.disk_mb * 1024 * 1024
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            if path.is_symlink() or not path.is_file():
                continue
            left -= path.stat().st_size
            if left < 0 or len(found) >= limits.files:
                raise CodeExecutionError(
                    f"the work_dir has more than {limits.files} files or {limits.disk_mb} MB: empty it, or give the"
                    " executor other Limits"
                )
            found[path.relative_to(root).as_posix()] = path.read_bytes()
        return found

    def take(self, files: Mapping[str, bytes]) -> None:
        """Write what came of a run into `work_dir`, never outside of it. Writes the disk."""
        if self.work_dir is None:
            return
        root = Path(self.work_dir)
        root.mkdir(parents=True, exist_ok=True)
        inside = root.resolve()
        for name, data in files.items():
            path = root / plain_name(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink() or not path.parent.resolve().is_relative_to(inside):
                raise CodeExecutionError(f"{name!r} leads out of the work_dir: not written")
            path.write_bytes(data)


_WORDS = frozenset({"executor", "work_dir", "use_docker", "timeout", "last_n_messages", "approval"})


def execution_of(config: Any, executor: Any) -> CodeExecution | None:
    """What the words `code_execution_config` and `code_executor` mean; None for no code."""
    if executor is not None:
        if config:
            raise TypeError("give either code_executor=... or code_execution_config=..., not both")
        return executor if isinstance(executor, CodeExecution) else CodeExecution(_checked(executor))
    if config is None or config is False:
        return None
    if isinstance(config, CodeExecution):
        return config
    if not isinstance(config, Mapping):
        raise TypeError(f"code_execution_config must be a dict or False, not {config!r}")
    if unknown := config.keys() - _WORDS:
        raise TypeError(
            f"code_execution_config[{sorted(unknown)[0]!r}] is not understood; known are {', '.join(sorted(_WORDS))}"
        )
    if "executor" in config:
        if clash := config.keys() & {"use_docker", "timeout"}:
            raise TypeError(f"code_execution_config[{sorted(clash)[0]!r}]: say it to the executor that you give")
        made = _checked(config["executor"])
    else:
        made = _classic(config.get("use_docker"), config.get("timeout", 60.0))
    found = CodeExecution(made, config.get("last_n_messages", "auto"), config.get("approval"))
    return replace(found, work_dir=config.get("work_dir"))


def _checked(executor: Any) -> CodeExecutor:
    if not callable(getattr(executor, "execute", None)) or not isinstance(getattr(executor, "limits", None), Limits):
        raise TypeError(
            f"{executor!r} is no executor: use BubblewrapExecutor() of a2a_bridge.chat.execution.bubblewrap,"
            " DockerExecutor() of a2a_bridge.chat.execution.docker, or an object with their methods"
        )
    found: CodeExecutor = executor
    return found


def _classic(use_docker: Any, timeout: float) -> CodeExecutor:
    """AutoGen's `use_docker`: True or nothing is Docker, a name or a list of names an image, False the sandbox here."""
    limits = Limits(timeout=float(timeout))
    if use_docker is False:
        return BubblewrapExecutor(limits=limits)
    if use_docker is None or use_docker is True:
        return DockerExecutor(IMAGE, limits=limits)
    if isinstance(use_docker, str):
        return DockerExecutor(use_docker, limits=limits)
    raise TypeError(f"use_docker={use_docker!r}: True, False or the name of an image")
