"""Long lists of texts mean what they mean to whoever reads them in one go, and are read in pieces."""

import json
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.access.scope import Scope
from rapport.api.http import json_bodies, long_lists
from rapport.api.http.bodies import PIECE, LongList, WireModel
from rapport.api.http.json_bodies import MOST_COMMAS, loaded
from rapport.errors import Invalid, TooLarge
from rapport.stores.records import json_text

LIST = "/api/v2/target-group/customer-list"
TEXTS = st.lists(st.text(st.sampled_from('aé",:[]{}\\ \n\u2028😀'), max_size=5), min_size=1, max_size=40)
SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text(st.sampled_from('a",:[\\'), max_size=3)


@given(
    texts=TEXTS,
    before=st.dictionaries(st.text(st.sampled_from('b"\\:['), max_size=3), SCALARS, max_size=3),
    after=st.dictionaries(st.text(st.sampled_from("bac"), max_size=2), SCALARS | TEXTS, max_size=3),
    indent=st.sampled_from([None, 1]),
)
def test_a_list_that_is_set_aside_and_put_back_is_what_it_was(
    texts: list[str], before: dict[str, Any], after: dict[str, Any], indent: int | None
) -> None:
    members = [*before.items(), ("customers", texts), *after.items()]
    parts = [f"{json.dumps(name)}: {json.dumps(value, indent=indent)}" for name, value in members]
    body = ("{" + ", ".join(parts) + "}").encode()
    rest, found = long_lists.set_aside(body)
    assert found == texts
    assert long_lists.put_back(orjson.loads(rest), texts) == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [b"[]", b'{"a": [1, "b"]}', b'{"a": ["b", 1]}', b'{"a": ["b", ]}', b'{"a": ["b"', b'{"a": {"b": ["c"]}}', b'"'],
)
def test_what_is_no_such_list_stays(body: bytes) -> None:
    assert long_lists.set_aside(body) == (body, None)


def test_a_list_may_be_long_where_one_is_asked_for() -> None:
    body = orjson.dumps({"list-name": "n", "customers": [f"C{n}" for n in range(MOST_COMMAS + 5000)], "x": 1})
    assert loaded(body, long_list=True) == orjson.loads(body)
    with pytest.raises(TooLarge):
        loaded(body)
    for spoilt, refused in ((rb'"C7"', rb'"C\u0000"'), (rb'"C7"', rb'"\ud83d"'), (rb'"C7"', b"7")):
        with pytest.raises((Invalid, TooLarge)):
            loaded(body.replace(spoilt, refused), long_list=True)


def test_a_target_group_is_made_of_a_long_list(api: httpx.Client, scope: Scope) -> None:
    scope.warehouse.insert("customers", ["customer_id"], [["C1"], ["C200001"]])
    ids = [f"C{n}" for n in range(MOST_COMMAS + 5000)]
    made = api.post(LIST, json={"list-name": "Long", "customers": ids}).json()
    assert (made["existed-customers"], len(made["non-existed-customers"])) == (2, len(ids) - 2)
    refused = api.post(LIST, json={"list-name": "Longer", "customers": [*ids, "x" * 256]})
    assert (refused.status_code, f"customers[{len(ids)}]" in refused.text) == (400, True)


def test_a_fault_is_told_by_its_place_in_the_whole_list() -> None:
    class Names(WireModel):
        names: LongList[str]

    assert Names(names=["a"] * (2 * PIECE + 1)).names == ["a"] * (2 * PIECE + 1)
    for place in (0, PIECE - 1, PIECE, 2 * PIECE):
        names: list[Any] = ["a"] * (2 * PIECE + 1)
        names[place] = 7
        with pytest.raises(ValueError) as refused:
            Names(names=names)
        assert [fault["loc"] for fault in refused.value.errors()] == [("names", place)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7, 11])
def test_an_escaped_null_is_found_across_pieces(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(json_text, "PIECE", piece)
    texts = (
        "\0",
        "a\0",
        "\\\0",
        "\\\\\0",
        "\\u0000",
        "\\\\u0000",
        "u0000",
        "\\",
        "a" * 9 + "\0",
        "\0" * 3,
        "é\\\\\\u0000",
    )
    for text in texts:
        written = json.dumps(["x", text, {"y": 1}]).encode()
        assert json_text.holds_null(written) == ("\0" in text), text


def test_signs_are_counted_no_further_than_they_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_bodies, "PIECE", 10)
    assert json_bodies._counted(b",a" * 50, b",", 100) == 50
    assert json_bodies._counted(b",a" * 50, b",", 7) == 10
