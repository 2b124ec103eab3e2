"""Secrets at rest: sealed with a key of the operator's, replaced, missing."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from rapport_command import run
from sqlalchemy import make_url, select, text

from rapport.access import secrets
from rapport.access.audit import audit_entries
from rapport.access.models import TenantSecret
from rapport.access.scope import Scope
from rapport.access.service import create_tenant
from rapport.channels import service as channels
from rapport.channels.messages import Origin
from rapport.channels.models import Channel
from rapport.customers.models import AttributeJob
from rapport.errors import Invalid, Unavailable
from rapport.messaging.contactability import suppressions
from rapport.notifications import service as notifications
from rapport.notifications.callbacks import take_up
from rapport.notifications.deliverer import OUTSIDE_CLOCK, DeliveryQueue
from rapport.notifications.models import CALLBACK as NOTIFICATION_CALLBACK
from rapport.realtime import gateways
from rapport.realtime.events import tokens
from rapport.settings import Settings
from rapport.stores import Stores, migrations, restore
from rapport.stores.backups.backup import MANIFEST
from rapport.stores.checks import secrets_check
from rapport.stores.records import Records, Sequence, sealed_values, sealing
from rapport.stores.records.sealing import Keys, key_of

OLD, NEW = "the-first-key-of-this-test-long-enough", "the-other-key-of-this-test-long-enough"
PASSWORD = "pass of the mail server"
CALLBACK = "http://ann:of-callback@127.0.0.1:9/told?key=of-callback"


@pytest.fixture(scope="module")
def url(stores: Stores) -> str:
    """Records of the module's own, since what is sealed there nobody else could read."""
    with stores.records.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE of_sealed_secrets"))
    return make_url(stores.records.url).set(database="of_sealed_secrets").render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def plain(stores: Stores, url: str) -> Iterator[Scope]:
    """A tenant with every kind of secret, none of them sealed."""
    records = Records(url)
    migrations.migrate_records(records)
    with records.session() as session:
        session.add(Sequence(tenant_id=0, name="tenant", value=8_640_000))
    scope = create_tenant(replace(stores, records=records), "Sealed")
    tokens.tokens(scope)
    tokens.rotate(scope, "server", 24)
    gateways.set_gateway(scope, "http://ann:of-gateway@127.0.0.1:9/gateway")
    gateways.rotate_secret(scope)
    listener = notifications.register_listener(scope, 2, "http://127.0.0.1:9/listener?token=of-listener")
    notifications.rotate_secret(scope, listener.id)
    channels.create_channel(scope, "Mail", "external", id=700)
    with scope.records() as session:
        made = session.get_one(Channel, (scope.tenant_id, 700))
        made.kind, made.settings = "email", {"host": "mail.example.com", "password": PASSWORD}
    suppressions.unsubscribe_links(scope)("c", Origin(700), "")
    now = scope.clock.now()
    told = AttributeJob(tenant_id=scope.tenant_id, id="told", kind="tell", outcome={}, callback_url=CALLBACK)
    told.callback_state, told.created_at, told.finished_at = "waiting", now, now
    with scope.records() as session:
        session.add(told)
    yield scope
    records.close()


def _with(scope: Scope, url: str, *keys: str) -> Scope:
    return replace(scope, stores=replace(scope.stores, records=Records(url, keys=Keys(*keys))))


def _secrets(scope: Scope) -> set[str]:
    """Every secret of the tenant, opened."""
    gateway, listener = gateways.gateway(scope), notifications.listeners(scope)[0]
    assert gateway is not None
    with scope.records() as session:
        own = list(session.scalars(select(TenantSecret.value).where(TenantSecret.tenant_id == scope.tenant_id)))
    found = [one.value for one in tokens.good_tokens(scope)] + own
    for one in (gateway, listener):
        found += [one.secret, one.previous_secret or "", one.url]
    with scope.records() as session:
        found += filter(None, session.scalars(select(AttributeJob.callback_url)))
    return {*found, channels.channel(scope, 700).settings["password"]}


def _stored(scope: Scope) -> str:
    """Everything in the records, as a backup holds it."""
    with scope.stores.records.reading() as connection:
        tables = connection.scalars(text("SELECT relname FROM pg_stat_user_tables")).all()
        return "".join(
            row for table in tables for row in connection.scalars(text(f"SELECT to_json(t)::text FROM {table} AS t"))
        )


def test_what_is_stored_is_sealed_opened_and_sealed_again(plain: Scope, url: str) -> None:
    before = _secrets(plain)
    assert len(before) == 11 + len(tokens.KINDS) + 1
    assert all(one in _stored(plain) for one in before)
    assert secrets_check(plain.stores.settings, plain.stores.records).outcome == "warning"
    with pytest.raises(Invalid, match="there is no key"):
        secrets.seal_secrets(plain.stores)

    sealed = _with(plain, url, OLD)
    assert _secrets(sealed) == before, "what is not sealed yet is read"
    assert "`rapport secrets seal`" in secrets_check(sealed.stores.settings, sealed.stores.records).detail
    assert secrets.seal_secrets(sealed.stores) == len(before)
    assert _secrets(sealed) == before
    assert not [one for one in before if one in _stored(plain)]
    assert secrets_check(sealed.stores.settings, sealed.stores.records).outcome == "ok"
    entry = audit_entries(sealed, 1, 0)[0]
    assert (entry.action, entry.details["secrets"]) == ("seal", len(before))

    both = _with(plain, url, NEW, OLD)
    assert secrets.seal_secrets(both.stores) == len(before)
    assert secrets.seal_secrets(both.stores) == 0
    replaced = _with(plain, url, NEW)
    assert _secrets(replaced) == before
    with pytest.raises(Unavailable, match="a key that is not here"):
        sealing.require(sealed.stores.records.keys, sealed_values.sealed_with(sealed.stores.records))
    for scope in (sealed, both, replaced):
        scope.stores.records.close()
    _new_secrets_are_sealed_and_signed_with(plain, url)


def _new_secrets_are_sealed_and_signed_with(plain: Scope, url: str) -> None:
    scope = _with(plain, url, NEW)
    new = tokens.rotate(scope, "sdk", 0).value
    assert tokens.tenant_of(scope.stores, new) == scope.tenant_id
    listener = notifications.listener(
        scope, notifications.register_listener(scope, 3, "http://ann:of-x@127.0.0.1:9/x").id
    )
    with scope.records() as session:
        notifications.notify(scope, session, 3, {}, "key")
    queue = DeliveryQueue(scope.stores, {}, OUTSIDE_CLOCK)
    assert not take_up(scope.stores.records, OUTSIDE_CLOCK)
    claimed = {one.event_type_id: one for one in queue.claim(10)}
    assert (claimed[3].url, claimed[3].secret, claimed[3].room > 0) == (listener.url, listener.secret, True)
    assert claimed[NOTIFICATION_CALLBACK].url == CALLBACK
    assert not [one for one in (new, listener.secret, "of-x", "of-callback") if one in _stored(plain)]
    scope.stores.records.close()


def test_a_sealed_value_is_bound_to_its_column_and_to_its_key() -> None:
    keys = Keys(OLD)
    sealed = keys.seal("s3cret", "listeners.secret")
    assert keys.open(sealed, "listeners.secret") == "s3cret"
    with pytest.raises(Unavailable, match="was changed"):
        keys.open(sealed, "event_tokens.value")
    with pytest.raises(Unavailable, match="a key that is not here"):
        Keys(NEW).open(sealed, "listeners.secret")
    for given in (sealed, "sealed:0:", "plain:", f"plain:{sealed}"):
        stored = Keys().seal(given, "channels.settings")
        assert not stored.startswith("sealed:"), "nobody makes others believe that a key is missing"
        assert [one.open(stored, "channels.settings") for one in (Keys(), keys)] == [given, given]
        assert keys.open(keys.seal(given, "channels.settings"), "channels.settings") == given
    assert keys.seal("", "engagements.key") == ""


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"secret_key": "short"}, "A key in RAPPORT_SECRET_KEY must have at least 32 characters."),
        ({"secret_key": OLD, "secret_key_file": "/x"}, "Set RAPPORT_SECRET_KEY or RAPPORT_SECRET_KEY_FILE, not both."),
        ({"secret_key_file": "/nowhere"}, "RAPPORT_SECRET_KEY_FILE names a file that cannot be read."),
        ({"secret_key_file": "/dev/null"}, "RAPPORT_SECRET_KEY_FILE names a file without a key."),
    ],
)
def test_settings_without_a_good_key_are_refused(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(Unavailable) as told:
        sealing.keys_of(Settings.model_validate(given))
    assert told.value.message == sentence


def test_a_key_in_the_data_folder_is_told(plain: Scope, url: str, tmp_path: Path) -> None:
    records = Records(url, keys=Keys(NEW))
    beside = Settings(data_dir=tmp_path / "data", secret_key_file=tmp_path / "secret.key")
    inside = Settings(data_dir=tmp_path / "data", secret_key_file=tmp_path / "data" / "secret.key")
    told = [secrets_check(settings, records).detail for settings in (beside, inside)]
    assert ["is in the data folder" in one for one in told] == [False, True]
    records.close()


def test_a_folder_whose_key_is_gone_does_not_open(folder: Path) -> None:
    data_dir, key_file = folder / "sealed", folder / "secret.key"
    run("tenant", "create", "Acme", "--data-dir", data_dir)
    key_file.write_text(OLD + "\n")
    sealed = run("secrets", "seal", "--data-dir", data_dir, "--json", RAPPORT_SECRET_KEY_FILE=str(key_file)).json
    assert sealed["sealed"] >= 2
    assert "Secrets are sealed with a key that is not here (id " in run("tenant", "list", "--data-dir", data_dir).line


def test_a_backup_is_not_restored_without_its_key(tmp_path: Path) -> None:
    said = {"format": 2, "members": {}, "rows": {}, "records_revision": "0001", "warehouse_versions": {}}
    records = {"tables": {"public.tenants": ["id"]}, "sequences": {}}
    content = json.dumps(said | {"records": records, "sealed_with": [key_of(OLD).id]}).encode()
    with tarfile.open(tmp_path / "sealed.rapport", "w") as file:
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(content)
        file.addfile(info, io.BytesIO(content))
    settings = Settings(data_dir=tmp_path / "restored", secret_key=SecretStr(NEW))
    with pytest.raises(Unavailable, match="a key that is not here"):
        restore(settings, tmp_path / "sealed.rapport", lambda *_: None)
    assert not (tmp_path / "restored").exists()
