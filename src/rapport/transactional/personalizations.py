"""The values that a request gives tags: which tags a template has, and which of them got no value."""

import re
from collections.abc import Iterable, Mapping

# A tag as requests name it: with or without brackets, and the prefix, in any case and with blanks.
TAG = re.compile(r"\s*(?:\[%)?\s*(?:TRANS\s*:)?\s*(?P<name>.*?)\s*(?:%\])?\s*", re.IGNORECASE | re.DOTALL)


def tag_name(tag: str) -> str:
    """The name that a tag has in templates, in upper case."""
    match = TAG.fullmatch(tag)
    return match["name"].upper() if match else tag.upper()


def missing_tags(expected: Iterable[str], recipients: Iterable[Mapping[str, str]]) -> list[str]:
    """Those of the names of a template's TRANS tags to which some recipient has no value."""
    present = [values.keys() for values in recipients]
    return [name for name in expected if any(name not in names for names in present)]
