"""What pydantic found wrong, each mistake once."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails


def problems_in(error: ValidationError, *, with_values: bool = False) -> list[ErrorDetails]:
    """The problems of a validation; the values that were sent are in them only if asked for.

    A list in which something is wrong is told to be too short as well, since what is wrong is not counted: that is no
    problem of its own.
    """
    found = error.errors(include_url=False, include_input=with_values, include_context=with_values)
    return [problem for problem in found if problem["type"] != "too_short" or not _follows(problem, found)]


def _follows(problem: ErrorDetails, found: list[ErrorDetails]) -> bool:
    where = problem["loc"]
    return any(len(other["loc"]) > len(where) and other["loc"][: len(where)] == where for other in found)
