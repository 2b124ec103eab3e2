"""Parts of a body that a client asks for (Range)."""

import re

RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class Unsatisfiable(Exception):
    """A range that the body does not have (416)."""


def part_of(asked: str, size: int) -> tuple[int, int] | None:
    """Beginning and end (which is not in it) of the part that is asked for; None for all of it, also when several parts
    are asked for or the header cannot be read. Raises Unsatisfiable.
    """
    match = RANGE.fullmatch(asked.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        begin, end = max(0, size - int(match[2])), size
    else:
        begin, end = int(match[1]), min(size, int(match[2]) + 1 if match[2] else size)
        if match[2] and int(match[2]) < int(match[1]):
            return None
    if begin >= end:
        raise Unsatisfiable
    return begin, end
