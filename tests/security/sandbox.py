"""What the tests of the sandbox share: code run in it, and the same code run plainly, to see that it would do harm."""

import subprocess
import sys
from collections.abc import Mapping

from a2a_bridge.chat.execution.bubblewrap import BubblewrapExecutor
from a2a_bridge.chat.execution.contract import CodeBlock, CodeResult, Limits
from a2a_bridge.errors import CodeExecutionError

LIMITS = Limits(timeout=20)
MISSING = (
    "the sandbox cannot be tried here, and it must be: {0} On a machine where that is known and accepted, run the tests"
    " with A2A_BRIDGE_NO_SANDBOX=1."
)


async def boxed(
    code: str,
    files: Mapping[str, bytes] | None = None,
    *,
    limits: Limits = LIMITS,
    language: str = "python",
) -> CodeResult:
    """Run code in the sandbox; where there is none, fail with a sentence."""
    executor = BubblewrapExecutor(limits=limits)
    try:
        return await executor.execute([CodeBlock(language, code)], files or {})  # type: ignore[arg-type]
    except CodeExecutionError as error:
        raise AssertionError(MISSING.format(error.message)) from None


def plainly(code: str, *, timeout: float = 20) -> str:
    """Run code without a sandbox; what it printed."""
    code = without_its_word(code)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout, check=False)
    return ran.stdout + ran.stderr


def without_its_word(code: str) -> str:
    """The code, written so that a traceback which shows it does not show what it prints."""
    return code.replace("'ESCAPED'", "'ESC' 'APED'")
