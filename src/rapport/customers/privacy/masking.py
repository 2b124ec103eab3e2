"""Persons who were removed and come again in a file stay masked: what identifies them is not loaded."""

# ruff: noqa: S608 - names of our tables

from rapport.access.pseudonyms import PSEUDONYM, pseudonym_secret
from rapport.access.scope import Scope
from rapport.customers.importing.staging import Stage
from rapport.customers.privacy import anonymisation, scrubbing
from rapport.customers.privacy.hidden_rows import leave_disk


def stage_removed(scope: Scope, stage: Stage) -> int:
    """How many removed persons the file brings again; when anybody was removed, `removed` has their lower-case ids."""
    good = stage.table("good")
    keys = anonymisation.removed_pseudonyms(scope)
    if not keys:
        return 0
    marks, removed = (
        stage.create(part, "(key String) ENGINE = MergeTree ORDER BY key") for part in ("marks", "removed")
    )
    stage.warehouse.insert(marks, ["key"], [(key,) for key in keys])
    ids = f"SELECT DISTINCT customer_id FROM {good}"
    removed_ids_sql = f"SELECT lowerUTF8(customer_id) FROM ({ids}) WHERE {PSEUDONYM} IN (SELECT key FROM {marks})"
    stage.warehouse.execute(f"INSERT INTO {removed} {removed_ids_sql}", pseudonym_secret=pseudonym_secret(scope))
    return stage.count("removed")


def mask_properties(scope: Scope, stage: Stage) -> None:
    """Take out of staged rows of removed persons the properties that identify them."""
    if not stage_removed(scope, stage):
        return
    good = stage.table("good")
    where = f"lowerUTF8(customer_id) IN (SELECT key FROM {stage.table('removed')})"
    names = scrubbing.property_names(scope, good, where, anonymisation.hidden_names(scope))
    kept = scrubbing.kept_properties(scrubbing.shaped("value"))
    changed = f"{where} AND length({kept}) != length(properties)"
    if stage.warehouse.value(f"SELECT count() FROM {good} WHERE {changed}", **names):
        stage.warehouse.execute(f"ALTER TABLE {good} UPDATE properties = {kept} WHERE {changed}", **names)
        leave_disk(scope, good)
