"""Tables as files: what a CSV holds of numbers and texts."""

import csv
import io

import pyarrow as pa
import pytest

from rapport.api.http.tables import _csv

AMOUNTS = [1_234_567_890_123.45, -99_999_999_999.5, 10_000_000_000.0, 1e22, 0.000000125, 12.5, None]
WRITTEN = [
    "1234567890123.45",
    "-99999999999.5",
    "10000000000",
    "10000000000000000000000",
    "0.000000125",
    "12.5",
    "",
]


@pytest.mark.parametrize("text", ["plain", '1e+10,"1.5e+12"\n2e+11,', "1e+10"])
def test_money_of_many_digits_is_written_in_plain_digits_and_texts_stay(text: str) -> None:
    rows = pa.record_batch({"money": AMOUNTS, "text": [text] * len(AMOUNTS)})
    written = b"".join(_csv(rows.schema, iter([rows]))).decode()
    found = list(csv.DictReader(io.StringIO(written, newline="")))
    assert [one["money"] for one in found] == WRITTEN and {one["text"] for one in found} == {text}
