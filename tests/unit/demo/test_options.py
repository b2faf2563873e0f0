"""What the demo can be told."""

import pytest

from a2a_bridge.demo.options import QUESTION, ROUNDS, Options, parse


def test_what_is_not_said_has_its_usual_value() -> None:
    """Ours."""
    assert parse([]) == Options(QUESTION, ROUNDS, json=False, crewai_python=None, tour=False)
    assert parse(["--tour", "--json"]) == Options(json=True, tour=True)


@pytest.mark.parametrize("words", [["--question", "Why?"], ["--rounds", "3"]])
def test_what_is_about_the_conversation_is_refused_for_the_tour(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """House rule: no option is silently ignored."""
    with pytest.raises(SystemExit):
        parse(["--tour", *words])
    assert "which --tour does not have" in capsys.readouterr().err
