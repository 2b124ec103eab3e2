"""Load checks: whether a data date's files came, and whether they brought as much as usual.

A tenant that configured nothing has no checks. The settings are the contract's: per kind of file what
a missing one does, and the data volume validation (CompareAvg, DaysBackwards, IsFail, MultFactor,
DaysToIgnore).
"""

from datetime import date, timedelta
from typing import Any, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError
from sqlalchemy import select

from rapport.access.models import Tenant
from rapport.access.scope import Scope, scope_of
from rapport.access.tenant_settings import TenantSettings, tenant_settings
from rapport.customers.importing.file_kinds import KINDS, Kind, kind_of
from rapport.customers.models import Import
from rapport.customers.states import ImportState
from rapport.errors import Invalid, RapportError
from rapport.wording import refused

log = structlog.get_logger("rapport.customers")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
Weekday = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
DAILY = """
    SELECT countIf(day = {data_date:Date}) AS rows, countIf(day != {data_date:Date}) AS before, min(day) AS first
    FROM (SELECT {day} AS day FROM {table})
    WHERE day BETWEEN {first:Date} AND {data_date:Date} AND NOT has({ignored:Array(UInt8)}, toDayOfWeek(day))
"""


class VolumeCheck(BaseModel):
    """Check of the data volume of one kind: the day's rows against the average of the days before."""

    model_config = ConfigDict(extra="forbid")

    compare_avg: bool = Field(True, description="false: only require at least one row of the data date")
    days_backwards: int = Field(180, ge=1, le=3650, description="Number of days for the average")
    is_fail: bool = Field(True, description="Stop the day's cycle; false: only report")
    mult_factor: float = Field(
        0.2, ge=0, le=10, description="The check fails if the count is below this factor times the average"
    )
    days_to_ignore: list[Weekday] = Field([], description="Weekdays that are not checked", examples=[["Sunday"]])


class KindChecks(BaseModel):
    """Checks of one kind of file."""

    model_config = ConfigDict(extra="forbid")

    missing: Literal["fail", "notify", "ignore"] = "ignore"
    volume: VolumeCheck | None = None


class LoadCheckSettings(RootModel[dict[str, KindChecks]], TenantSettings):
    """Checks by kind of file."""

    section = "load_checks"
    root: dict[str, KindChecks] = {}


class LoadCheck(BaseModel):
    """The outcome of one check: ok, notify or fail. count and average are rows per day."""

    kind: str
    check: Literal["missing", "volume"]
    outcome: Literal["ok", "notify", "fail"]
    message: str
    count: int | None = None
    average: float | None = None


class LoadCheckFailed(RapportError):
    """Data that must not be computed with; the day's cycle and its campaigns stop (409)."""

    status = 409

    def __init__(self, checks: list[LoadCheck]) -> None:
        super().__init__(" ".join(check.message for check in checks if check.outcome == "fail"))
        self.checks = checks


def load_checks(scope: Scope) -> dict[str, KindChecks]:
    """The tenant's settings by kind; kinds without checks are absent."""
    newest = scope_of(scope.stores, scope.tenant_id)  # scopes of keys are kept for a while
    return tenant_settings(newest, LoadCheckSettings).root


def set_load_checks(scope: Scope, checks_by_kind: dict[str, Any]) -> dict[str, KindChecks]:
    """Replace the settings. Raises Invalid for an unknown kind or value."""
    checked = {}
    for kind, settings in checks_by_kind.items():
        try:
            checked[kind_of(kind).name] = KindChecks.model_validate(settings)
        except ValidationError as error:
            raise Invalid(refused(error, KindChecks, settings, f"load_checks.{kind}")) from error
    with scope.records() as session:
        tenant = session.scalars(select(Tenant).where(Tenant.id == scope.tenant_id).with_for_update()).one()
        stored = {kind: kind_checks.model_dump() for kind, kind_checks in checked.items()}
        tenant.settings = {**tenant.settings, LoadCheckSettings.section: stored}
        scope.audit(session, "change", LoadCheckSettings.section, **stored)
    return checked


def check_loads(scope: Scope, data_date: date) -> list[LoadCheck]:
    """Check the loads of a data date. Raises LoadCheckFailed when one that may stop the cycle fails."""
    checks: list[LoadCheck] = []
    for name, settings in load_checks(scope).items():
        if settings.missing != "ignore":
            checks.append(_missing(scope, name, settings.missing, data_date))
        if settings.volume is not None and KINDS[name].time_column:
            checks.append(_volume(scope, KINDS[name], settings.volume, data_date))
    for check in checks:
        if check.outcome != "ok":
            log.warning("load check", tenant=scope.tenant_id, **check.model_dump())
    if any(check.outcome == "fail" for check in checks):
        raise LoadCheckFailed(checks)
    return checks


def _missing(scope: Scope, kind: str, setting: Literal["fail", "notify"], data_date: date) -> LoadCheck:
    with scope.reads() as session:
        came = session.scalar(
            select(Import.id)
            .where(
                Import.tenant_id == scope.tenant_id,
                Import.kind == kind,
                Import.state.in_((ImportState.LOADED, ImportState.UNCHANGED)),
                Import.data_date >= data_date,
            )
            .limit(1)
        )
    if came is not None:
        return LoadCheck(kind=kind, check="missing", outcome="ok", message=f"A file of {kind} came.")
    return LoadCheck(kind=kind, check="missing", outcome=setting, message=f"No file of {kind} came for {data_date}.")


def _volume(scope: Scope, kind: Kind, check: VolumeCheck, data_date: date) -> LoadCheck:
    if data_date.strftime("%A") in check.days_to_ignore:
        message = f"{kind.name} are not checked on a {data_date:%A}."
        return LoadCheck(kind=kind.name, check="volume", outcome="ok", message=message)
    count, average = _counts(scope, kind, check, data_date)
    least = check.mult_factor * average if check.compare_avg else 1.0
    bad = count < least
    outcome: Literal["ok", "notify", "fail"] = ("fail" if check.is_fail else "notify") if bad else "ok"
    threshold = f"{check.mult_factor:g} x the average of {average:.1f}" if check.compare_avg else "one"
    message = f"{count} {kind.name} of {data_date}, {'fewer than' if bad else 'at least'} {threshold}."
    return LoadCheck(
        kind=kind.name, check="volume", outcome=outcome, message=message, count=count, average=round(average, 4)
    )


def _counts(scope: Scope, kind: Kind, check: VolumeCheck, data_date: date) -> tuple[int, float]:
    """Rows of the data date, and their average over the days before it since the first row of the span."""
    day = f"toDate({kind.time_column})"
    if kind.time_column == "event_at":
        day = "toDate(event_at, {zone:String})"
    first = data_date - timedelta(days=check.days_backwards)
    ignored = [WEEKDAYS.index(name) + 1 for name in check.days_to_ignore]
    parameters: dict[str, Any] = {"data_date": data_date, "first": first, "ignored": ignored}
    if kind.time_column == "event_at":
        parameters["zone"] = str(scope.time_zone)
    sql = DAILY.replace("{day}", day).replace("{table}", kind.table)
    row = scope.warehouse.row(sql, **parameters)
    if row is None or not row[1]:
        return (row[0] if row else 0), 0.0
    count, before, begin = row
    days = [begin + timedelta(days=number) for number in range((data_date - begin).days)]
    checked = [past_day for past_day in days if past_day.isoweekday() not in ignored]
    return count, before / len(checked)
