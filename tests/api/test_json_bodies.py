"""What no body may hold is refused in one place, in one sentence that says where it is."""

import json
import time
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, ValidationError

from least_time import stays_within
from rapport import wording
from rapport.api.http.bodies import WireModel
from rapport.api.http.json_bodies import DEEPEST, MOST_COMMAS, MOST_OBJECTS
from rapport.api.http.managed import JsonRoute
from rapport.api.routers import MANAGEMENT, WIRE
from rapport.api.wire.customers_writes import Removal, Updates, Upsert

SIZE = "/manage/v1/target-groups/size"
UPDATE = "/current/customers/UpdateCustomerAttributes"
APPS = "/current/integrations/AddChannelApps?ChannelID=1"


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def definition(value: str) -> str:
    return f'{{"definition": {{"attribute": "CITY", "operator": "equals", "value": {value}}}}}'


def sentence(answer: httpx.Response) -> str:
    told: Any = answer.json()
    return str(told["detail"] if isinstance(told, dict) else told)


def post(api: httpx.Client, path: str, body: str | bytes) -> httpx.Response:
    return api.post(path, content=body, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("path", [SIZE, APPS])
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (r'"\ud83d"', "definition.value: must not hold half of a surrogate pair."),
        (r'"a\udc00b"', "definition.value: must not hold half of a surrogate pair."),
        (r'"a\u0000b"', "definition.value: must not contain a null character."),
        (r'["a", {"b\\\u0000": 1}]', "definition.value[1]: must not contain a null character."),
        ("9" * 400, "The body contains a number that is too large."),
        (nested(5_000), f"The body is nested deeper than {DEEPEST} levels."),
        (nested(DEEPEST), f"The body is nested deeper than {DEEPEST} levels."),
        (f'[{nested(3)}, "{"[" * 200}", {nested(DEEPEST)}]', f"The body is nested deeper than {DEEPEST} levels."),
        ("NaN", "The body is not valid JSON."),
        ("", "The body is not valid JSON."),
    ],
)
def test_one_sentence_that_says_where(api: httpx.Client, path: str, value: str, told: str) -> None:
    answer = post(api, path, definition(value))
    assert (answer.status_code, sentence(answer)) == (400, told)


@pytest.mark.parametrize("value", [r'"\ud83d"', r'"\u0000"'])
def test_the_place_is_not_looked_for_in_a_long_body(api: httpx.Client, value: str) -> None:
    answer = post(api, SIZE, definition(f'["{"x" * 70_000}", {value}]'))
    assert answer.status_code == 400
    assert sentence(answer).startswith("The body: must not ")


@pytest.mark.parametrize("path", [SIZE, UPDATE])
@pytest.mark.parametrize(
    ("part", "most", "what"), [("{},", MOST_OBJECTS - 1, "objects and lists"), ("1,", MOST_COMMAS, "commas")]
)
def test_a_body_of_many_values_is_refused_unread(api: httpx.Client, path: str, part: str, most: int, what: str) -> None:
    answer = post(api, path, f"[{part * (most + 1)}")
    assert (answer.status_code, what in sentence(answer)) == (413, True)
    assert post(api, path, f"[{part * most}1").status_code == 400


@pytest.mark.parametrize("body", ['{"X": 1}', '{"definition": {"X": 1}}', '{"definition": {"any": [{"X": 1}]}}'])
def test_an_object_of_many_unknown_members_holds_nobody_up(api: httpx.Client, body: str) -> None:
    many = ", ".join(f'"k{number}": 1' for number in range(1001))
    answer = post(api, SIZE, body.replace('"X": 1', many))
    assert (answer.status_code, sentence(answer)) == (413, "The body contains an object with more than 1000 members.")
    assert post(api, SIZE, body.replace('"X": 1', many.replace('"k0": 1, ', ""))).status_code == 400


@pytest.mark.parametrize("missing", [False, True])
def test_the_time_of_a_sentence_grows_with_the_faults_and_no_faster(missing: bool) -> None:
    class Two(BaseModel):
        model_config = ConfigDict(extra="forbid")
        a: int = 1
        b: int

    def seconds(number: int) -> float:
        given = {f"k{n}": 1 for n in range(number)} | ({} if missing else {"b": 1})
        with pytest.raises(ValidationError) as refused:
            Two.model_validate(given)
        faults, began = refused.value.errors(), time.thread_time()
        assert wording.sentence(faults, given, kind=Two) == "k0 is not known here; there are a, b."
        return time.thread_time() - began

    assert stays_within(lambda: seconds(20_000), lambda: seconds(2_000), 30, 0.005)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Updates, "CustomerNewAttributesValuesList"),
        (Upsert, "Attributes"),
        (Removal, "CustomerIDs"),
    ],
)
def test_of_a_list_of_bad_items_one_is_enough(model: type[WireModel], name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        model.model_validate({name: [1.5] * 1000, "CustomerID": "C1"})
    assert [fault["loc"] for fault in refused.value.errors() if fault["type"] != "missing"] == [(name, 0)]


def test_what_only_looks_like_it_is_taken(api: httpx.Client) -> None:
    for value in (r'"\ud83d\ude00"', r'"\\u0000"', r'"\\ud83d"', json.dumps("[" * 1000)):
        answer = post(api, "/manage/v1/target-groups/sentence", "\ufeff" + definition(value).replace("CITY", "EMAIL"))
        assert answer.status_code == 200, (value, answer.text)


def test_every_call_that_takes_json_reads_it_so() -> None:
    routes = [one for router in (*WIRE, *MANAGEMENT) for one in router.routes if isinstance(one, APIRoute)]
    unread = [one.path for one in routes if one.body_field is not None and not isinstance(one, JsonRoute)]
    assert unread == []
    assert sum(one.body_field is not None for one in routes) > 30
