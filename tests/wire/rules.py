"""The rules of `rules.toml` and the tests that cite them.

    python -m tests.wire.rules

prints every rule that no test cites, with the reason that stands in the list; a rule without either is a mistake, and
the exit code says so. A test cites a rule by naming its id in its docstring.
"""

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
RULES: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("rules.toml").read_text("utf-8"))["rule"]
ID = re.compile(r"\bR-[A-Z]+-\d\d\b")


def cited() -> dict[str, set[str]]:
    """Which rules tests cite in their docstrings, and which tests."""
    found: dict[str, set[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for rule in ID.findall(ast.get_docstring(node) or ""):
                    found.setdefault(rule, set()).add(f"{path.relative_to(TESTS)}::{node.name}")
    return found


def untested() -> list[dict[str, Any]]:
    """The rules that no test cites."""
    known = cited()
    return [rule for rule in RULES if rule["id"] not in known]


def main() -> int:
    left = untested()
    for rule in left:
        print(rule["id"], rule["level"], rule.get("why", "NO TEST AND NO REASON"), sep="\t")
    print(f"{len(RULES) - len(left)} of {len(RULES)} rules have a test.")
    return 0 if all("why" in rule for rule in left) else 1


if __name__ == "__main__":
    sys.exit(main())
