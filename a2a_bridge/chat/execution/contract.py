"""What runs code, and within which limits. There is no executor without a sandbox, and none that falls back to one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Language = Literal["python", "sh"]


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """Code to run. `filename`: what it is kept as in the working directory; a hidden file if it has no name."""

    language: Language
    code: str
    filename: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use. A run is all blocks of one message, in one sandbox.

    `timeout`: seconds for the whole run. `memory_mb`: of each process, and of the container with Docker.
    `processes`: at the same time. `output`: bytes of output that are kept; the rest is dropped. `disk_mb`: of all files
    in the working directory, and of them at most `files` come back.
    """

    timeout: float = 60.0
    memory_mb: int = 512
    processes: int = 64
    output: int = 64 * 1024
    disk_mb: int = 64
    files: int = 100

    def __post_init__(self) -> None:
        for word in ("timeout", "memory_mb", "processes", "output", "disk_mb"):
            if not getattr(self, word) > 0:
                raise ValueError(f"Limits({word}={getattr(self, word)!r}): more than 0")


@dataclass(frozen=True, slots=True)
class CodeResult:
    """What came of a run. `files`: new or changed ones in the working directory, by their relative path.

    `stopped_by`: what ended it before it was done, None if nothing did. `is_cut`: there was more output.
    """

    exit_code: int
    output: str
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    stopped_by: Literal["timeout", "memory"] | None = None
    is_cut: bool = False


class CodeExecutor(Protocol):
    """Runs code of a model in a sandbox.

    Any number of runs may go on at once; each begins with an empty working directory and the `files` it is given.
    Cancelling `execute` kills all processes of the run before it returns.
    """

    @property
    def limits(self) -> Limits: ...

    async def check(self) -> None:
        """CodeExecutionError, whose text says what to install or to change, if no sandbox can be had here."""

    async def execute(self, blocks: Sequence[CodeBlock], files: Mapping[str, bytes] = {}) -> CodeResult:
        """Run the blocks one after another, to the first that fails. Raises CodeExecutionError, never runs it
        anywhere else."""
