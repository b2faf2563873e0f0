"""The support matrix of the README, made from the cases of this folder.

No environment has all frameworks, so each makes the columns of those it has and leaves the others as they are: what
stands between the markers is read, the own columns are put in, and the whole is written anew.
"""

import importlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from a2a_bridge.testing.adapter_case import FEATURES, AdapterCase, support

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
SECTION = re.compile(r"(?<=<!-- support: begin -->\n).*?(?=<!-- support: end -->)", re.DOTALL)
NOT_YET = "not yet"
_REASON = re.compile(r"- \*\*(\w+)\*\*, ")


@dataclass(frozen=True, slots=True)
class Column:
    """What one adapter supports: a word for each feature, and a line for each that is not a plain yes."""

    cells: tuple[str, ...] = (NOT_YET,) * len(FEATURES)
    reasons: tuple[str, ...] = ()


def adapter_names() -> list[str]:
    """The adapters of this project, in the order in which they are declared."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return list(project["entry-points"]["a2a_bridge.adapters"])


def cases(pattern: str, without: str = "") -> dict[str, list[type[AdapterCase]]]:
    """The cases in the test files that match `pattern`, for each adapter."""
    found: dict[str, list[type[AdapterCase]]] = {}
    for path in sorted(Path(__file__).parent.glob(pattern)):
        if "AdapterContract" not in path.read_text("utf-8") or (without and path.match(without)):
            continue
        module = importlib.import_module(f"tests.adapters.{path.stem}")
        for case in vars(module).values():
            is_case = isinstance(case, type) and issubclass(case, AdapterCase) and case.__module__ == module.__name__
            if is_case and case.__name__.startswith("Test"):
                found.setdefault(case.module.split(".")[1], []).append(case)
    return found


def column(name: str, of: Sequence[type[AdapterCase]]) -> Column:
    """The column of an adapter that has these cases: `partly` where some of them can and others cannot."""
    if not of:
        return Column()
    cells, reasons = [], []
    for feature, shown in FEATURES.items():
        told = [(case, support(case)[feature]) for case in of]
        lacking = [(case, reason) for case, reason in told if reason != "yes"]
        cells.append("yes" if not lacking else "no" if len(lacking) == len(told) else "partly")
        for reason in dict.fromkeys(reason for _, reason in lacking):
            whose = [f"“{_title(case)}”" for case, its in lacking if its == reason]
            where = "" if len(whose) == len(told) else f" ({', '.join(whose)})"
            reasons.append(f"- **{name}**, {shown}{where}: {reason}")
    return Column(tuple(cells), tuple(reasons))


def _title(case: type[AdapterCase]) -> str:
    """What the case calls its objects: its first line, up to a comma or a colon."""
    return re.split(r"[,:.](?=\s|$)", (case.__doc__ or case.__name__).strip())[0]


def read(section: str) -> dict[str, Column]:
    """The columns that stand in a section."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    if not rows:
        return {}
    reasons: dict[str, list[str]] = {}
    for line in section.splitlines():
        if named := _REASON.match(line):
            reasons.setdefault(named[1], []).append(line)
    return {
        name: Column(tuple(row[at] for row in rows[2:]), tuple(reasons.get(name, ())))
        for at, name in enumerate(rows[0][1:], 1)
    }


def render(columns: Mapping[str, Column]) -> str:
    """The section: the table, then why something cannot be."""
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for at, shown in enumerate(FEATURES.values()):
        lines.append(f"| {shown} | " + " | ".join(column.cells[at] for column in columns.values()) + " |")
    reasons = [reason for column in columns.values() for reason in column.reasons]
    return "\n".join(["", *lines, "", *reasons, "", ""])


def section_with(own: Mapping[str, Column]) -> str:
    """The README's section as it is when these columns are the truth; the others stay as they stand there."""
    found = SECTION.search(README.read_text("utf-8"))
    assert found, "the README has no markers of the support matrix"
    kept = read(found[0])
    return render({name: own.get(name, kept.get(name, Column())) for name in adapter_names()})


def check(own: Mapping[str, Column], write: bool) -> None:
    """The README says of these adapters what their cases show; with `write` it is made to."""
    text, section = README.read_text("utf-8"), section_with(own)
    if write:
        text = SECTION.sub(lambda _: section, text)
        README.write_text(text, "utf-8")
    found = SECTION.search(text)
    assert found
    assert found[0] == section, "run this test with WRITE_SUPPORT=1 and look at what it changes in README.md"


def missing_checks(case: type[AdapterCase], contract: type[AdapterCase]) -> list[str]:
    """The checks of the contract that a case does not have as they are, its limits apart."""
    return [
        name
        for name, check in vars_of(contract).items()
        if getattr(case, name, None) is not check and getattr(check, "a2a_bridge_shows", None) not in case.limits
    ]


def vars_of(contract: type) -> dict[str, object]:
    """Every check of the contract, by name."""
    return {name: getattr(contract, name) for name in dir(contract) if name.startswith("test_")}
