"""How long a Retry-After header asks to wait."""

from datetime import timedelta

import pytest

from rapport.stores.outside.posting import retry_after

DATE = "Fri, 14 Mar 2025 08:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("120", "", 120),
        (" 7 ", "", 7),
        ("Fri, 14 Mar 2025 08:02:30 GMT", DATE, 150),
        ("Fri, 14 Mar 2025 07:00:00 GMT", DATE, 0),
        ("999999999999", "", 24 * 3600),
        ("Fri, 14 Mar 2025 08:02:30 GMT", "", None),
        ("soon", DATE, None),
        ("-5", DATE, None),
        ("", "", None),
    ],
)
def test_retry_after(value: str, date: str, seconds: int | None) -> None:
    assert retry_after(value, date) == (None if seconds is None else timedelta(seconds=seconds))
