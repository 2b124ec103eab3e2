"""Files for senders in a bucket of the tenant's own: copied, tried again, deleted in the end, and nowhere else."""

import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec
import httpx
import pytest
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
)
from sqlalchemy import select, text

from rapport.access.scope import Scope, scope_of
from rapport.access.service import create_tenant, update_tenant
from rapport.campaigns.cycle import tasks
from rapport.campaigns.delivery import copying, engagements, webhooks
from rapport.campaigns.models import Engagement, EngagementBucket, Occurrence
from rapport.campaigns.occurrences import plan_next_run
from rapport.campaigns.runs import processing
from rapport.campaigns.states import CopyState, RunState

MANAGED = "/manage/v1/engagement-bucket"
SECRET = "not-to-be-told"


@pytest.fixture(scope="module")
def root(scope: Scope, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that the operator keeps for buckets, with one for the tenant."""
    settings, folder = scope.stores.settings, tmp_path_factory.mktemp("buckets")
    settings.bucket_schemes, settings.bucket_folder = "gs,s3,file,memory", folder
    (folder / str(scope.tenant_id)).mkdir()
    yield folder / str(scope.tenant_id)
    settings.bucket_schemes, settings.bucket_folder = "gs,s3", None


@pytest.fixture(scope="module")
def tenant(scope: Scope, root: Path) -> Iterator[Scope]:
    scope.clock.set(NOW)
    update_tenant(scope, {"settings": {"campaigns": {"messages_per_day": 1000}}})
    add_profiles(scope, [customer(number) for number in range(12)])
    publish(scope)
    add_channels(scope)
    add_group(scope, "Dutch", "NL")
    add_action(scope, "Voucher", ("V10",))
    webhooks.set_webhook(scope, EXTERNAL, "http://127.0.0.1:9/files", "texts", 10_000, [])
    yield scope_of(scope.stores, scope.tenant_id)
    scope.clock.set(None)


@pytest.fixture(autouse=True)
def without_a_bucket(tenant: Scope, api: httpx.Client) -> Iterator[None]:
    """Every test begins without a bucket, and with no copies."""
    tenant.clock.set(NOW)
    yield
    api.delete(MANAGED)
    with tenant.records() as session:
        mine = {"tenant_id": tenant.tenant_id}
        session.execute(text("UPDATE engagements SET copy_state = 'none' WHERE tenant_id = :tenant_id"), mine)


def put(api: httpx.Client, url: str, **account: str) -> httpx.Response:
    return api.put(MANAGED, json={"url": url, "account": account})


def executed(scope: Scope) -> Engagement:
    """The engagement of a campaign whose files are ready."""
    series = add_series(scope, 1, [group(2, (EXTERNAL, 4))], rules={"include_all": True}, control_share=0)
    number = plan_next_run(scope, series.id, TODAY)
    processing.prepare_members(scope, number, DATA_DATE)
    processing.process(scope, number, DATA_DATE)
    scope.clock.set(NOW + timedelta(hours=1))
    tasks.execute_due(scope)
    return engagement(scope, number)


def engagement(scope: Scope, campaign_id: int) -> Engagement:
    with scope.reads() as session:
        mine = select(Engagement).where(Engagement.tenant_id == scope.tenant_id)
        return session.scalars(mine.where(Engagement.campaign_id == campaign_id)).one()


def names(made: Engagement) -> list[str]:
    return [f"customers/customers_file{n:03}.deflate.avro" for n in range(1, made.files + 1)] + [f"metadata_{made.id}"]


def carry_out(scope: Scope, later: timedelta) -> None:
    scope.clock.set(NOW + later)
    while copying.carry_out_next(scope.stores):
        continue


def told(api: httpx.Client) -> dict[str, Any]:
    body: dict[str, Any] = api.get(MANAGED).json()
    return body


def contents(scope: Scope, made: Engagement) -> dict[str, bytes]:
    """What senders read of an engagement."""
    bucket = engagements.bucket(scope)
    paths = {name: f"{made.folder}/{name}" for name in names(made)}
    return {name: engagements.read_file(scope, bucket, path, made.key) for name, path in paths.items()}


def test_files_are_in_the_bucket_before_they_are_announced(tenant: Scope, api: httpx.Client, root: Path) -> None:
    assert put(api, f"file://{root}/campaigns").status_code == 200
    made = executed(tenant)
    assert (made.copy_state, made.copy_error) == (CopyState.WRITTEN, "")
    there = {name: (root / "campaigns" / made.folder / name).read_bytes() for name in names(made)}
    assert made.files == 1 and there == contents(tenant, made)
    assert (told(api)["written"], told(api)["waiting"], told(api)["failing"]) == (1, 0, [])


def test_a_bucket_in_memory_is_one_as_well(tenant: Scope, api: httpx.Client) -> None:
    assert put(api, "memory://northwind-files/rapport").status_code == 200
    assert api.post(f"{MANAGED}/check").status_code == 204
    made = executed(tenant)
    memory = fsspec.filesystem("memory")
    folder = f"/northwind-files/rapport/{made.folder}"
    assert {name: memory.cat_file(f"{folder}/{name}") for name in names(made)} == contents(tenant, made)
    memory.rm("/northwind-files", recursive=True)


def test_what_fails_is_shown_tried_again_and_holds_up_nothing(
    tenant: Scope, api: httpx.Client, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = root / "blocked"
    blocked.write_text("a file where a folder is to be")
    put(api, f"file://{blocked}")
    with caplog.at_level(logging.DEBUG):
        made = executed(tenant)
    assert contents(tenant, made), "senders read the files from Rapport"
    assert (made.copy_state, made.copy_attempts) == (CopyState.WAITING, 1) and made.copy_error
    second = executed(tenant)
    assert second.copy_attempts == 0, "where one fails, the others wait"
    (first_told,) = told(api)["failing"]
    assert (first_told["engagement_id"], first_told["campaign_id"]) == (made.id, made.campaign_id)
    assert first_told["error"] == made.copy_error and str(root) not in made.copy_error
    carry_out(tenant, timedelta(hours=1, minutes=2))
    assert engagement(tenant, made.campaign_id).copy_attempts == 2
    blocked.unlink()
    carry_out(tenant, timedelta(hours=1, minutes=3))
    assert engagement(tenant, made.campaign_id).copy_attempts == 2, "the pauses become longer"
    carry_out(tenant, timedelta(hours=3))
    states = [engagement(tenant, each.campaign_id).copy_state for each in (made, second)]
    assert states == [CopyState.WRITTEN, CopyState.WRITTEN]
    assert (blocked / second.folder / f"metadata_{second.id}").exists() and told(api)["failing"] == []


def test_copies_end_with_their_files(tenant: Scope, api: httpx.Client, root: Path) -> None:
    put(api, f"file://{root}/ending")
    canceled, old = executed(tenant), executed(tenant)
    paths = [root / "ending" / made.folder / name for made in (canceled, old) for name in names(made)]
    assert all(path.exists() for path in paths)
    with tenant.records() as session:
        session.get_one(Occurrence, (tenant.tenant_id, canceled.campaign_id)).state = RunState.CANCELED
    carry_out(tenant, timedelta(hours=2))
    assert [path.exists() for path in paths] == [False, False, True, True]
    tenant.clock.set(NOW + timedelta(days=8))
    engagements.drop_old(tenant)
    carry_out(tenant, timedelta(days=8))
    assert not any(path.exists() for path in paths)
    assert engagement(tenant, old.campaign_id).copy_state == CopyState.NONE


def test_files_that_were_written_anew_are_copied_anew(tenant: Scope, api: httpx.Client, root: Path) -> None:
    put(api, f"file://{root}/anew")
    made = executed(tenant)
    copy = root / "anew" / made.folder / f"metadata_{made.id}"
    copy.write_bytes(b"as it was")
    engagements.write_again(tenant, {(made.campaign_id, made.channel_id, made.recipient_group_id)})
    carry_out(tenant, timedelta(hours=2))
    assert copy.read_bytes() == contents(tenant, made)[f"metadata_{made.id}"]
    hook = webhooks.webhook(tenant, EXTERNAL)
    assert hook is not None
    webhooks.delete_webhook(tenant, EXTERNAL)
    engagements.write_again(tenant, {(made.campaign_id, made.channel_id, made.recipient_group_id)})
    webhooks.set_webhook(tenant, EXTERNAL, hook.url, hook.name, hook.rows_per_file, hook.attributes)
    carry_out(tenant, timedelta(hours=2))
    assert not copy.exists(), "without a webhook nobody is to have the files"


def test_while_what_goes_out_is_held_nothing_is_copied(tenant: Scope, api: httpx.Client, root: Path) -> None:
    put(api, f"file://{root}/held")
    tenant.stores.settings.outbound = "off"
    try:
        made = executed(tenant)
    finally:
        tenant.stores.settings.outbound = "on"
    assert (made.copy_state, made.copy_attempts) == (CopyState.WAITING, 0) and not (root / "held").exists()
    carry_out(tenant, timedelta(hours=2))
    assert (root / "held" / made.folder / f"metadata_{made.id}").exists()


@pytest.mark.parametrize(
    ("url", "account", "words"),
    [
        ("ftp://files.example/x", {}, "url must begin with one of gs://, s3://, file://, memory://."),
        ("https://169.254.169.254/latest", {}, "url must begin with"),
        ("file:///etc", {}, "the folder that the operator keeps for the tenant"),
        ("file://{root}/../1/x", {}, "The path in url"),
        ("file://{root}/%2e%2e/1", {}, "The path in url"),
        ("file://host{root}", {}, "must not be a folder"),
        ("s3://x@metadata/y", {}, "no user name"),
        ("s3://bucket:80/y", {}, "no user name"),
        ("s3://bucket?endpoint_url=http://127.0.0.1", {}, "no user name"),
        ("s3://127.0.0.1#/", {}, "no user name"),
        ("s3://Bucket/y", {}, "must name a bucket"),
        ("s3://bucket", {}, "account.key is required for s3://."),
        ("s3://bucket", {"key": "k", "secret": "s", "profile": "default"}, "account has no member 'profile'"),
        ("s3://bucket", {"key": "k", "secret": "s", "endpoint": "http://127.0.0.1:1"}, "RAPPORT_BUCKET_ENDPOINTS"),
        ("gs://bucket", {}, "account.project_id is required for gs://."),
        (
            "gs://bucket",
            {"type": "external_account", "project_id": "p", "client_email": "e", "private_key": "k"},
            "account must be that of a service account.",
        ),
        ("gs://bucket", {"project_id": "p", "client_email": "e", "private_key": "k"}, "account.private_key must be"),
    ],
)
def test_what_leads_elsewhere_is_refused(
    api: httpx.Client, root: Path, url: str, account: dict[str, str], words: str
) -> None:
    answer = put(api, url.format(root=root), **account)
    assert answer.status_code == 400 and words in answer.json()["detail"], answer.text
    assert api.get(MANAGED).status_code == api.post(f"{MANAGED}/check").status_code == 404


def test_storage_of_this_machine_is_for_operators_who_allow_it(api: httpx.Client, tenant: Scope, root: Path) -> None:
    put(api, f"file://{root}/allowed").raise_for_status()
    settings = tenant.stores.settings
    settings.bucket_schemes = "gs,s3"
    try:
        assert "url must begin with one of gs://, s3://." in put(api, "memory://northwind").json()["detail"]
        made = executed(tenant)
        assert "url must begin with" in made.copy_error and not (root / "allowed").exists()
    finally:
        settings.bucket_schemes = "gs,s3,file,memory"


def test_the_account_is_shown_to_nobody(api: httpx.Client, tenant: Scope, caplog: pytest.LogCaptureFixture) -> None:
    tenant.stores.settings.bucket_endpoints = "http://127.0.0.1:9"
    try:
        with caplog.at_level(logging.DEBUG):
            answer = put(api, "s3://northwind", key="id", secret=SECRET, endpoint="http://127.0.0.1:9")
            check = api.post(f"{MANAGED}/check")
            executed(tenant)
    finally:
        tenant.stores.settings.bucket_endpoints = ""
    assert answer.json()["account"] == ["endpoint", "key", "secret"]
    assert check.status_code == 502 and check.json()["detail"].endswith(".")
    assert SECRET not in answer.text + check.text + api.get(MANAGED).text + caplog.text
    assert SECRET not in api.get("/manage/v1/audit-entries", params={"limit": 100}).text


def test_another_tenant_has_another_folder(tenant: Scope, root: Path) -> None:
    other = create_tenant(tenant.stores, f"neighbour of buckets {time.time_ns()}", "UTC", "EUR")
    with other.records() as session:
        session.add(EngagementBucket(tenant_id=other.tenant_id, url=f"file://{root}", account="{}", updated_at=NOW))
    with pytest.raises(Exception, match="the folder that the operator keeps"):
        copying.opened_bucket(other)
