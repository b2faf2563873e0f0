"""What of an artifact has been delivered, and what a snapshot adds (failure 20: nothing twice, nothing left out)."""

from hypothesis import given
from hypothesis import strategies as st

from a2a_bridge.client.seen import Extent, Seen
from a2a_bridge.protocol.objects import Artifact, Part, Task, TaskArtifactUpdateEvent, TaskState, TaskStatus

PARTS = st.one_of(
    st.text(max_size=4).map(lambda text: Part(text=text)),
    st.integers(0, 3).map(lambda number: Part(data=number)),
    st.just(Part(text="typed", media_type="text/plain")),
)


def merged(parts: list[Part]) -> list[Part]:
    """As a server may keep them: neighbouring plain texts joined, empty ones gone."""
    found: list[Part] = []
    for part in parts:
        if part.is_plain_text and part.text is not None:
            if found and found[-1].is_plain_text:
                found[-1] = Part(text=(found[-1].text or "") + part.text)
            elif part.text:
                found.append(part)
        else:
            found.append(part)
    return found


def snapshot(*parts: Part, name: str = "a") -> Task:
    return Task(
        id="t",
        status=TaskStatus(state=TaskState.WORKING),
        artifacts=(Artifact(artifact_id=name, parts=parts),),
    )


def chunk(*parts: Part, append: bool = True, name: str = "a") -> TaskArtifactUpdateEvent:
    return TaskArtifactUpdateEvent(task_id="t", artifact=Artifact(artifact_id=name, parts=parts), append=append)


@given(st.lists(PARTS, max_size=8), st.integers(0, 8), st.booleans())
def test_a_snapshot_adds_exactly_what_is_missing(parts: list[Part], delivered: int, joined: bool) -> None:
    """However much came before the cut, and whether the server joins texts or not."""
    seen = Seen()
    for part in parts[:delivered]:
        seen.add(chunk(part))
    kept = merged(parts) if joined else parts
    missing = list(seen.missing(snapshot(*kept)))
    assert all(event.append for event in missing) or delivered == 0
    got = [*parts[:delivered], *(part for event in missing for part in event.artifact.parts)]
    assert merged(got) == merged(parts)
    assert list(seen.missing(snapshot(*kept))) == []


def test_a_text_cut_in_the_middle_of_a_part_goes_on_there() -> None:
    """A snapshot joins what came in pieces."""
    seen = Seen()
    seen.add(chunk(Part(text="one tw"), append=False))
    (event,) = seen.missing(snapshot(Part(text="one two three")))
    assert event.append
    assert event.artifact.text == "o three"


def test_an_artifact_that_was_replaced_meanwhile_is_replaced_here() -> None:
    """Told by its checksum, also when it is longer than what was seen."""
    seen = Seen()
    seen.add(chunk(Part(text="draft"), append=False))
    (event,) = seen.missing(snapshot(Part(text="another text")))
    assert not event.append
    assert event.artifact.text == "another text"
    (event,) = seen.missing(snapshot(Part(text="short")))
    assert not event.append


def test_what_an_earlier_turn_delivered_is_not_missing() -> None:
    """An answer continues its task: artifacts of the turn before are known by their extent."""
    before = Seen()
    before.add(snapshot(Part(text="so far")))
    seen = Seen(before.extents())
    task = Task(
        id="t",
        status=TaskStatus(state=TaskState.WORKING),
        artifacts=(
            Artifact(artifact_id="a", parts=(Part(text="so far"),)),
            Artifact(artifact_id="b", parts=(Part(text="new"),)),
        ),
    )
    (event,) = seen.missing(task)
    assert event.artifact.artifact_id == "b"
    assert not event.append


def test_a_chunk_that_replaces_starts_anew() -> None:
    """`append` false: what was seen of the artifact no longer counts."""
    seen = Seen()
    seen.add(chunk(Part(text="long draft")))
    seen.add(chunk(Part(text="x"), append=False))
    assert seen.extents() == {"a": Extent().plus([Part(text="x")])}
