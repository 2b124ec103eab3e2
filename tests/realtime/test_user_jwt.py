"""X-User-JWT: who proves to be a customer may change that customer's details, and nobody else's."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from senders import Sender, app_event, empty, stored

from rapport.access.scope import Scope
from rapport.customers.writes.ordering import writing
from rapport.realtime.events.user_jwts import MOST_GOOD

KEYS = "/manage/v1/event-intake/user-jwt-keys"
SECRET = "0123456789abcdef0123456789abcdef"
UPDATE, SET_EMAIL, SET_USER_ID, STITCH = (
    "ootb_user_details_update",
    "set_email_event",
    "set_user_id_event",
    "stitch_event",
)


@pytest.fixture(autouse=True)
def alone(scope: Scope, api: httpx.Client) -> Iterator[None]:
    """Every test has nobody's visitors, no keys and the settings of the start."""
    empty(scope)
    yield
    for key in api.get(KEYS).json():
        api.delete(f"{KEYS}/{key['id']}").raise_for_status()
    api.patch("/manage/v1/tenants/current", json={"settings": {"events": None}}).raise_for_status()


def set_key(api: httpx.Client, **members: Any) -> dict[str, Any]:
    answer = api.post(KEYS, json={"algorithm": "HS256", "secret": SECRET} | members)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def token(who: Any, secret: Any = SECRET, algorithm: str | None = "HS256", **claims: Any) -> str:
    named = {"sub": who, "exp": time.time() + 600} | claims
    return jwt.encode({name: value for name, value in named.items() if value is not None}, secret, algorithm)


def sent(sender: Sender, given: Any, proof: str = "", **headers: str) -> httpx.Response:
    named = {"X-User-JWT": proof} if proof else {}
    return sender.client.post(f"/v1/optistream/{sender.public}", json=given, headers=named | headers)


def told(scope: Scope, who: str | None, name: str, visitor: str = "device", **context: Any) -> dict[str, Any]:
    return app_event(scope, event=name, customer=who, visitor=visitor, context=context)


def customer(scope: Scope, who: str) -> None:
    values = {"EMAIL": "own@example.org", "FIRST_NAME": "Own", "CITY": "Oslo", "IS_BLOCKED": "Yes"}
    scope.warehouse.insert("customers", ["customer_id", *values], [(who, *values.values())])


def known(api: httpx.Client, scope: Scope, who: str) -> tuple[Any, ...]:
    with writing(scope):
        pass
    (row,) = api.get(f"/manage/v1/persons/{who}").json()["warehouse"]["customers"]
    return tuple(row[name] for name in ("EMAIL", "FIRST_NAME", "CITY", "IS_BLOCKED"))


BEFORE = ("own@example.org", "Own", "Oslo", "Yes")
DETAILS = {"ootb_first_name": "New", "ootb_is_blocked": "No"}


def test_who_proves_to_be_a_customer_changes_the_own_details(sender: Sender, scope: Scope, api: httpx.Client) -> None:
    customer(scope, "Anna")
    batch = [told(scope, "Anna", SET_EMAIL, email="new@example.org"), told(scope, "ANNA", UPDATE, **DETAILS)]
    assert sent(sender, batch, "nonsense").status_code == 200, "without a key nobody looks at it"
    assert known(api, scope, "Anna") == BEFORE
    set_key(api)
    for one in batch:
        one["metadata"] = {}
    assert sent(sender, batch).status_code == 200
    assert known(api, scope, "Anna") == BEFORE
    assert sent(sender, batch, token("anna")).status_code == 200
    assert known(api, scope, "Anna") == ("new@example.org", "New", "Oslo", "Yes"), "the company's own words stay"


def test_nobody_is_changed_by_another_s_proof(sender: Sender, scope: Scope, api: httpx.Client) -> None:
    customer(scope, "Victim")
    set_key(api)
    mine = told(scope, "Thief", "page")
    linked = told(scope, None, SET_USER_ID, "v1", originalVisitorId="v1", userId="Victim", updatedVisitorId="v2")
    stitched = told(scope, None, STITCH, "v1", sourcePublicCustomerId="Victim", sourceVisitorId="v1")
    for theirs in (told(scope, "Victim", SET_EMAIL, email="thief@example.org"), linked, stitched):
        answer = sent(sender, [mine, theirs], token("Thief"))
        sentence = {"status": "error", "message": "X-User-JWT is of another customer than the events name."}
        assert (answer.status_code, answer.json()) == (401, sentence)
        assert answer.headers["access-control-allow-origin"] == "*"
    assert stored(scope) == []
    # Whose a visitor is proves nothing: who is named must be the one who proved it.
    assert sent(sender, [linked]).status_code == 200
    assert sent(sender, [told(scope, None, SET_EMAIL, "v1", email="thief@example.org")], token("Thief")).is_success
    assert known(api, scope, "Victim") == BEFORE


def private(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def public(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def unsigned(header: Any, who: str = "Bob") -> str:
    """A token whose signature is made by nobody; header is its first part."""
    claims = {"sub": who, "exp": time.time() + 600}
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in (header, claims)]
    return ".".join([*parts, ""])


def status(sender: Sender, scope: Scope, proof: str) -> tuple[int, str]:
    answer = sent(sender, [told(scope, "Bob", "page")], proof)
    return answer.status_code, answer.json()["message"]


def test_what_is_not_good_is_refused(sender: Sender, scope: Scope, api: httpx.Client) -> None:
    set_key(api)
    foreign, stale, ended = "not signed with a key of this tenant", "must have the claims", "has expired"
    now = time.time()
    for proof, reason in (
        (token("Bob", "another" + SECRET), foreign),
        (token("Bob", SECRET * 2, "HS512"), foreign),
        (token("Bob", SECRET * 2, "HS384"), foreign),
        (unsigned({"alg": "none"}), foreign),
        (unsigned({"alg": "None"}), foreign),
        (unsigned({"alg": "HS256"}), foreign),
        (token("Bob", exp=None), stale),
        (token(None), stale),
        (token("Bob", exp=now - 120), ended),
        (token("Bob", nbf=now + 120), "is not valid"),
        (token("Bob", aud="another service"), "another audience"),
        (token(" "), "names no customer"),
        ("a.b.c", "is not valid"),
        ("x", "is not valid"),
        (base64.urlsafe_b64encode(b"[" * 6000).decode() + ".e30.", "is not valid"),
        ("y" * 9000, "is longer than"),
    ):
        code, message = status(sender, scope, proof)
        assert code == 401 and reason in message and message.startswith("X-User-JWT") and message.count(".") == 1
    assert stored(scope) == []
    assert status(sender, scope, token("Bob"))[0] == 200
    assert status(sender, scope, token("Bob", exp=now - 5))[0] == 200, "clocks differ by a few seconds"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_public_key_is_no_secret(sender: Sender, scope: Scope, api: httpx.Client, algorithm: str) -> None:
    make = {
        "RS256": lambda: rsa.generate_private_key(65537, 2048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    }
    own, other = make[algorithm](), make[algorithm]()
    shown = set_key(api, algorithm=algorithm, secret=None, public_key=public(own))
    assert shown["secret"] is None and shown["public_key"] == public(own)
    assert status(sender, scope, token("Bob", private(own), algorithm))[0] == 200
    assert status(sender, scope, token("Bob", private(other), algorithm))[0] == 401
    forged = jwt.api_jws.PyJWS()
    hmac = forged.get_algorithm_by_name("HS256")
    head = unsigned({"alg": "HS256", "typ": "JWT"}).rstrip(".")
    signature = base64.urlsafe_b64encode(hmac.sign(head.encode(), public(own).encode())).rstrip(b"=").decode()
    assert status(sender, scope, f"{head}.{signature}")[0] == 401, "signed with the text that everybody may know"


def test_a_key_is_replaced_and_removed(sender: Sender, scope: Scope, api: httpx.Client) -> None:
    first = set_key(api)
    second = set_key(api, secret=None)
    assert len(second["secret"]) >= 32
    listed = api.get(KEYS).json()
    assert [(one["id"], one["ends_at"] is None) for one in listed] == [(second["id"], True), (first["id"], False)]
    assert SECRET not in str(listed) and second["secret"] not in str(listed)
    assert [status(sender, scope, token("Bob", one))[0] for one in (SECRET, second["secret"])] == [200, 200]
    third = set_key(api, secret="third" + SECRET, grace_hours=0)
    assert [status(sender, scope, token("Bob", one))[0] for one in (SECRET, second["secret"])] == [401, 401]
    assert status(sender, scope, token("Bob", "third" + SECRET))[0] == 200
    assert api.delete(f"{KEYS}/{third['id']}").status_code == 204
    assert api.delete(f"{KEYS}/{third['id']}").status_code == 404
    assert status(sender, scope, "nonsense")[0] == 200, "without a key nobody looks at it"
    audit = [(one["action"], one["object"]) for one in api.get("/manage/v1/audit-entries").json()]
    assert {("create", f"key {third['id']} of X-User-JWT"), ("delete", f"key {third['id']} of X-User-JWT")} <= set(
        audit
    )
    assert SECRET not in api.get("/manage/v1/audit-entries").text


def test_few_keys_are_good_at_a_time(sender: Sender, scope: Scope, api: httpx.Client) -> None:
    """A token is held against each key, by whoever shows one."""
    made = [set_key(api, secret=f"{number}" + SECRET)["id"] for number in range(MOST_GOOD + 2)]
    assert [one["id"] for one in api.get(KEYS).json()] == made[: -MOST_GOOD - 1 : -1]
    tokens = [token("Bob", f"{number}" + SECRET) for number in range(MOST_GOOD + 2)]
    assert [status(sender, scope, one)[0] for one in tokens] == [401, 401] + [200] * MOST_GOOD
    for key_id in made[-MOST_GOOD:]:
        api.delete(f"{KEYS}/{key_id}").raise_for_status()


def of_rsa(exponent: int, modulus: int) -> str:
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"algorithm": "RS256", "public_key": of_rsa(65537, 2**9000 - 1)}, "2048 to 8192 bits"),
        ({"algorithm": "RS256", "public_key": of_rsa(2**2000 + 1, 2**2048 - 1)}, "exponent"),
        ({"algorithm": "none"}, "algorithm"),
        ({"algorithm": "HS256", "secret": "short"}, "secret"),
        ({"algorithm": "HS256", "secret": "ü" * 40}, "secret"),
        ({"algorithm": "HS256", "public_key": "x"}, "public_key"),
        ({"algorithm": "RS256"}, "public_key"),
        ({"algorithm": "RS256", "secret": SECRET}, "secret"),
        ({"algorithm": "RS256", "public_key": "nonsense"}, "public_key"),
        ({"algorithm": "RS256", "public_key": public(ec.generate_private_key(ec.SECP256R1()))}, "public_key"),
        ({"algorithm": "RS256", "public_key": public(rsa.generate_private_key(65537, 1024))}, "public_key"),
        ({"algorithm": "ES256", "public_key": public(ec.generate_private_key(ec.SECP384R1()))}, "public_key"),
        ({"algorithm": "HS256", "grace_hours": -1}, "grace_hours"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused(api: httpx.Client, members: dict[str, Any], named: str) -> None:
    answer = api.post(KEYS, json=members)
    assert answer.status_code == 400 and named in answer.json()["detail"], answer.text
    assert api.get(KEYS).json() == []


def test_who_can_prove_it_must_and_old_apps_for_as_long_as_they_are_let(
    sender: Sender, scope: Scope, api: httpx.Client
) -> None:
    able = {"X-Optimove-Auth-Capable": "1"}
    customers, nobody = [told(scope, "Bob", "page")], [told(scope, None, "page")]
    assert sent(sender, customers, **able).status_code == 200, "nothing is asked for without a key"
    set_key(api)
    assert sent(sender, customers, **able).json()["message"] == "X-User-JWT is missing: the events name a customer."
    assert (sent(sender, nobody, **able).status_code, sent(sender, customers).status_code) == (200, 200)
    change = {"settings": {"events": {"apps_without_jwt": False}}}
    api.patch("/manage/v1/tenants/current", json=change).raise_for_status()
    assert [sent(sender, one).status_code for one in (customers, nobody)] == [401, 200]
    assert sent(sender, customers, token("Bob"), **able).status_code == 200
