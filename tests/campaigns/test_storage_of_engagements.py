"""Files for senders by the paths of Google Cloud Storage, read with the vendor's own client library."""

import base64
import hashlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from avro_files import records
from campaign_tenant import (
    DATA_DATE,
    EXTERNAL,
    NOW,
    TODAY,
    add_action,
    add_channels,
    add_group,
    add_profiles,
    add_series,
    customer,
    group,
    publish,
    recipients,
)
from google.api_core.exceptions import BadRequest, Forbidden, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.oauth2.credentials import Credentials
from google_crc32c import Checksum

from rapport.access import keys
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.campaigns.cycle import tasks
from rapport.campaigns.delivery import webhooks
from rapport.campaigns.delivery.engagements import SECRET_MEMBERS
from rapport.campaigns.models import Occurrence
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.campaigns.states import RunState
from rapport.notifications import service as notifications
from rapport.notifications.secret_members import with_secrets

Event = dict[str, Any]


@pytest.fixture(scope="module")
def tenant(scope: Scope) -> Iterator[Scope]:
    scope.clock.set(NOW)
    add_profiles(scope, [customer(number) for number in range(12)])
    publish(scope)
    add_channels(scope)
    add_group(scope, "Dutch", "NL")
    add_action(scope, "Voucher", ("V10",))
    webhooks.set_webhook(scope, EXTERNAL, "http://127.0.0.1:9/files", "texts", 10_000, [])
    yield scope
    scope.clock.set(None)


def executed(scope: Scope) -> tuple[int, Event]:
    """A campaign whose files are ready, and event 14 of it."""
    series = add_series(scope, 1, [group(2, (EXTERNAL, 4))], rules={"include_all": True}, control_share=0)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)
    scope.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(scope)
    scope.clock.set(NOW)
    rows = notifications.deliveries(scope, limit=1000)
    bodies = [
        orjson.loads(with_secrets(scope.stores, SECRET_MEMBERS, scope.tenant_id, row.event_type_id, row.body))
        for row in rows
    ]
    (event,) = [body for body in bodies if body["EventTypeID"] == 14 and body["CampaignID"] == number]
    return number, event


@pytest.fixture(scope="module")
def campaign(tenant: Scope) -> tuple[int, Event]:
    return executed(tenant)


@pytest.fixture(scope="module")
def event(campaign: tuple[int, Event]) -> Event:
    return campaign[1]


def client(base_url: str, secret: str = "") -> storage.Client:
    """The vendor's client, whose endpoint is this server; secret is an API key in the place of an OAuth token."""
    credentials = Credentials(token=secret) if secret else AnonymousCredentials()  # type: ignore[no-untyped-call]
    return storage.Client(project="none", credentials=credentials, client_options={"api_endpoint": base_url})


def blob(made: storage.Client, event: Event, name: str, key: str = "") -> Any:
    decrypting = base64.b64decode(key or event["DecryptionKey"])
    return made.bucket(event["BucketName"]).blob(name, encryption_key=decrypting)


def key_headers(key: str, digest: str = "", algorithm: str = "AES256") -> dict[str, str]:
    digest = digest or base64.b64encode(hashlib.sha256(base64.b64decode(key)).digest()).decode()
    names = {"Algorithm": algorithm, "Key": key, "Key-Sha256": digest}
    return {f"X-Goog-Encryption-{name}": text for name, text in names.items()}


def place(event: Event, name: str, beginning: str = "/storage/v1") -> str:
    return f"{beginning}/b/{event['BucketName']}/o/{quote(name, safe='')}"


def test_the_vendors_client_reads_metadata_and_customers_with_the_key_alone(
    base_url: str, tenant: Scope, campaign: tuple[int, Event]
) -> None:
    number, event = campaign
    made = client(base_url)
    metadata = orjson.loads(blob(made, event, event["MetadataFilePath"]).download_as_bytes())
    assert (metadata["CampaignID"], metadata["EngagementID"]) == (number, event["EngagementID"])
    assert metadata["NumberOfFiles"] == 1
    name = f"{event['CustomersFolderPath']}/customers_file001.deflate.avro"
    rows = list(records(blob(made, event, name).download_as_bytes()))
    assert [row["CustomerID"] for row in rows] == [row[0] for row in recipients(tenant, number)]
    assert len(rows) == metadata["NumberOfCustomers"] > 0
    whole = blob(made, event, name).download_as_bytes()
    assert blob(made, event, name).download_as_bytes(start=3, end=10) == whole[3:11]
    described = blob(made, event, name)
    described.reload()
    assert (described.size, described.name) == (len(whole), name)


@pytest.mark.parametrize("checksum", ["md5", "crc32c"])
def test_the_vendors_client_checks_what_it_has_read(base_url: str, event: Event, checksum: str) -> None:
    name = event["MetadataFilePath"]
    whole = blob(client(base_url), event, name).download_as_bytes(checksum=checksum, raw_download=True)
    assert whole.startswith(b"{") and whole.endswith(b"}")


def test_a_client_that_shows_another_providers_token_is_served_by_the_key(base_url: str, event: Event) -> None:
    foreign = client(base_url, "ya29.of-another-provider")
    assert blob(foreign, event, event["MetadataFilePath"]).download_as_bytes().startswith(b"{")


def test_files_are_listed_to_whoever_has_an_api_key(base_url: str, scope: Scope, event: Event) -> None:
    _, secret = keys.create_key(scope, "sender", "sender@example.com", "Integrations")
    made = client(base_url, secret)
    names = [event["MetadataFilePath"], f"{event['CustomersFolderPath']}/customers_file001.deflate.avro"]
    folder = event["CustomersFolderPath"].rpartition("/")[0]
    assert {one.name for one in made.list_blobs(event["BucketName"], prefix=folder)} == set(names)
    assert [one.name for one in made.list_blobs(event["BucketName"], prefix=event["CustomersFolderPath"])] == names[1:]
    assert {one.name for one in made.list_blobs(event["BucketName"], prefix=folder, page_size=1)} == set(names)
    assert list(made.list_blobs(event["BucketName"], prefix="nothing")) == []
    assert made.get_bucket(event["BucketName"]).name == event["BucketName"]
    for bucket in ("rapport-0", "another"):
        with pytest.raises(NotFound):
            made.get_bucket(bucket)
    with pytest.raises(NotFound):
        blob(made, event, "nothing").download_as_bytes()


def test_a_wrong_key_opens_nothing(base_url: str, event: Event, api: httpx.Client) -> None:
    other = base64.b64encode(b"k" * 32).decode()
    with pytest.raises(Forbidden):
        blob(client(base_url), event, event["MetadataFilePath"], other).download_as_bytes()
    with pytest.raises(BadRequest):
        blob(client(base_url, api.headers["X-API-KEY"]), event, event["MetadataFilePath"], other).download_as_bytes()
    with pytest.raises(Forbidden):  # the same answer as of what is there
        blob(client(base_url), event, "2026-03-10 0900 texts-505-9999/metadata_9999").download_as_bytes()


@pytest.mark.parametrize("beginning", ["/storage/v1", "/download/storage/v1"])
def test_encryption_headers_are_checked(base_url: str, event: Event, beginning: str) -> None:
    path, key = place(event, event["MetadataFilePath"], beginning), event["DecryptionKey"]
    with httpx.Client(base_url=base_url, params={"alt": "media"}) as http:
        good = http.get(path, headers=key_headers(key))
        assert good.status_code == 200 and good.headers["content-type"] == "application/octet-stream"
        digest = base64.b64encode(hashlib.md5(good.content, usedforsecurity=False).digest()).decode()
        crc32c = base64.b64encode(Checksum(good.content).digest()).decode()
        assert good.headers["x-goog-hash"] == f"crc32c={crc32c},md5={digest}"
        wrong = {
            "algorithm": key_headers(key, algorithm="AES128"),
            "SHA-256": key_headers(key, digest=base64.b64encode(b"x" * 32).decode()),
            "32 bytes": key_headers(base64.b64encode(b"short").decode()),
        }
        for word, headers in wrong.items():
            answer = http.get(path, headers=headers)
            assert answer.status_code == 400 and word in answer.json()["error"]["message"]
        refused = http.get(path)
        assert refused.status_code == 401 and refused.json()["error"]["code"] == 401
        assert http.get(path, headers={"X-API-KEY": "no key of ours"}).status_code == 401


@pytest.mark.parametrize(
    ("asked", "status", "begin", "end"),
    [
        ("bytes=0-4", 206, 0, 5),
        ("bytes=5-", 206, 5, None),
        ("bytes=-7", 206, -7, None),
        ("bytes=2-999999999", 206, 2, None),
        ("bytes=5-2", 200, 0, None),
        ("bytes=0-1,4-5", 200, 0, None),
        ("lines=1-2", 200, 0, None),
        ("bytes=999999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
    ],
)
def test_parts_are_read(base_url: str, event: Event, asked: str, status: int, begin: int, end: int | None) -> None:
    path, headers = place(event, event["MetadataFilePath"]), key_headers(event["DecryptionKey"])
    with httpx.Client(base_url=base_url, params={"alt": "media"}, headers=headers) as http:
        whole = http.get(path).content
        answer = http.get(path, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (status, whole[begin:end])
    if status == 206:
        first = begin % len(whole)
        assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(whole)}"
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{len(whole)}"


def test_another_tenants_key_sees_nothing(base_url: str, scope: Scope, event: Event) -> None:
    other = create_tenant(scope.stores, f"{scope.tenant_id} other", "UTC", "EUR")
    _, secret = keys.create_key(other, "theirs", "theirs@example.com", "Admin")
    stranger = client(base_url, secret)
    with pytest.raises(NotFound):
        list(stranger.list_blobs(event["BucketName"]))
    with pytest.raises(NotFound):
        blob(stranger, event, event["MetadataFilePath"]).download_as_bytes()


def test_files_of_a_canceled_campaign_are_gone(base_url: str, tenant: Scope, api: httpx.Client) -> None:
    number, event = executed(tenant)
    made = client(base_url, api.headers["X-API-KEY"])
    assert blob(made, event, event["MetadataFilePath"]).download_as_bytes()
    before = len(list(made.list_blobs(event["BucketName"])))
    with tenant.records() as session:
        session.get_one(Occurrence, (tenant.tenant_id, number)).state = RunState.CANCELED
    with pytest.raises(NotFound):
        blob(made, event, event["MetadataFilePath"]).download_as_bytes()
    assert len(list(made.list_blobs(event["BucketName"]))) == before - 2
