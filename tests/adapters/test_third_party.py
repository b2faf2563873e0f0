"""docs/adapters.md leads from nothing to a working adapter: its files are built, installed, found and tested here.

The framework is made up (`made_up/murmur`); the package is built from the page by its own build backend, and
installed by unpacking the wheel, entry point included, into a folder that only the subprocesses here look into.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adapters.md").read_text("utf-8")
FILES = dict(re.findall(r"^```(?:python|toml|ini)\n# (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
FRAMEWORK = ROOT / "tests" / "adapters" / "made_up" / "murmur"
MOST_LINES = 60

pytestmark = pytest.mark.timeout(180)  # a package is built, and a whole suite runs


def run(folder: Path, site: Path, *arguments: str) -> str:
    """What an interpreter prints that sees the installed packages of `site` too."""
    path = os.pathsep.join(filter(None, (str(site), str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's files in a folder."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def site(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the framework and the adapter are installed."""
    folder = tmp_path_factory.mktemp("site")
    run(project, folder, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(project / "dist"))
    (wheel,) = (project / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    shutil.copytree(FRAMEWORK, folder / "murmur")
    return folder


def test_the_adapter_of_the_page_is_short() -> None:
    """Issue 5: a page that leads from nothing to a working adapter in 60 lines."""
    lines = [line for line in FILES["murmur_a2a/agent.py"].splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES


def test_an_object_is_found_through_the_installed_entry_point(project: Path, site: Path) -> None:
    """Architecture §1.2: third parties are found as ours are, by the class, and the framework is not imported."""
    code = (
        "import sys\n"
        "from a2a_bridge.adaptation import adapters, find_adapter\n"
        "assert 'murmur' in {adapter.name for adapter in adapters()}\n"
        "assert 'murmur' not in sys.modules\n"
        "import murmur\n"
        "from a2a_bridge import adapt\n"
        "bot = murmur.Bot('parrot', None, about='Repeats.')\n"
        "agent = adapt(bot)\n"
        "print(find_adapter(bot).name, type(agent).__name__, agent.name, agent.description)"
    )
    assert run(site, site, "-c", code).strip() == "murmur MurmurAgent parrot Repeats."


def test_without_the_package_the_object_is_not_an_agent(tmp_path: Path) -> None:
    """Ours: what was found above was found through the entry point, and by nothing else."""
    shutil.copytree(FRAMEWORK, tmp_path / "murmur")
    code = (
        "import murmur\n"
        "from a2a_bridge import adapt\n"
        "from a2a_bridge.errors import AdapterNotFoundError\n"
        "try:\n    adapt(murmur.Bot('parrot', None))\n"
        "except AdapterNotFoundError as error:\n    print(error)"
    )
    assert "murmur.bots.Bot is not an agent" in run(tmp_path, tmp_path, "-c", code)


def test_the_adapter_of_the_page_passes_the_suite(project: Path, site: Path) -> None:
    """Issue 5: one suite any adapter runs."""
    shown = run(project, site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_murmur.py")
    assert re.search(r"^\d\d passed in", shown, re.MULTILINE), shown
    assert "skipped" not in shown


def test_a_contract_that_is_not_met_says_what_it_found(site: Path, tmp_path: Path) -> None:
    """Ours: `assert` tells both sides, in the tests of third parties too."""
    (tmp_path / "pytest.ini").write_text(FILES["pytest.ini"])
    (tmp_path / "test_false.py").write_text(
        FILES["test_murmur.py"].replace("stops at its next word", "is another").replace('"cancels"', '"usage"')
    )
    path = os.pathsep.join((str(site), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "TestDrum and matrix_says"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=150,
    )  # fmt: skip
    assert done.returncode == 1
    assert "assert False == (" in done.stdout, done.stdout


def test_the_other_way_an_agent_is_a_bot_of_the_framework(site: Path) -> None:
    """Issue 5, part 2, for third parties: tokens, a question and its answer, and a step that is run again."""
    code = (
        "import asyncio\n"
        "from a2a_bridge import Ask\n"
        "from a2a_bridge.agent import Turn\n"
        "from a2a_bridge.bridge import Bridge\n"
        "from a2a_bridge.testing.server import running\n"
        "from murmur_a2a.remote import RemoteBot\n"
        "heard = []\n"
        "async def agent(turn: Turn):\n"
        "    heard.append(turn.text)\n"
        "    if turn.answer:\n        yield f'You said {turn.answer.option()}.'\n"
        "    elif 'ask' in turn.text:\n        yield Ask('Shall I?')\n"
        "    else:\n        yield 'I '\n        yield 'heard'\n"
        "async def talk(bot, *lines):\n"
        "    events = bot.talk([{'role': 'user', 'content': line} for line in lines])\n"
        "    return [event.text async for event in events]\n"
        "async def main():\n"
        "    async with running(lambda url: Bridge(agent, public_url=url)) as url:\n"
        "        bot = RemoteBot(url, name='far', context='desk')\n"
        "        again = RemoteBot(url, name='far', context='desk')\n"
        "        print(''.join(await talk(bot, 'hello')), ''.join(await talk(again, 'hello')))\n"
        "        print(await talk(bot, 'hello', 'x', 'ask'), await talk(bot, 'hello', 'x', 'ask', 'y', 'yes'), heard)\n"
        "asyncio.run(main())"
    )
    shown = run(site, site, "-c", code).splitlines()
    assert shown == ["I heard I heard", "['Shall I?'] ['You said yes.'] ['hello', 'ask', 'yes']"]
