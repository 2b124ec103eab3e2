"""The sports inventory as it is, the prices that selections had, and what became of the records of feeds."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.managed import JsonRoute
from rapport.api.sections import SectionRouter
from rapport.errors import Invalid, NotFound
from rapport.messaging.topics import brand_groups
from rapport.sports import reading
from rapport.sports import tree as trees
from rapport.sports.definitions import Kind, RecordKey
from rapport.sports.models import SportsPrice
from rapport.sports.odds import Price, american
from rapport.sports.reading import LogFilter, ReadRecord, RecordFilter
from rapport.sports.storing import Outcome

router = SectionRouter("Management: sports", "/manage/v1/sports", JsonRoute)
Brand = Annotated[str, Query(max_length=100, description="A brand group, see GET /manage/v1/brand-groups")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1)]


class OddsOut(BaseModel):
    """A price in its three forms; null where there is none."""

    decimal: float | None = Field(examples=[2.25])
    fractional: str | None = Field(examples=["5/4"])
    american: int | None = Field(examples=[125])


class SportsRecordOut(BaseModel):
    """A record. shown and active hold for it with everything above it."""

    kind: Kind
    event_key: str = Field(examples=["ev-1"], description="Empty but for markets and selections")
    record_key: str = Field(examples=["sl-1"])
    parent_kind: str = Field(examples=["Market"], description="Empty for a record without a parent")
    parent_key: str = Field(examples=["mk-1"])
    shown: bool
    active: bool
    starts_at: datetime | None
    odds: OddsOut | None
    members: dict[str, Any] = Field(description="The record as it was sent, with both forms of its price")
    created_at: datetime
    updated_at: datetime


class SportsNodeOut(BaseModel):
    """A record and what hangs on it. shown and active hold for it with everything above it."""

    kind: Kind
    event_key: str
    record_key: str = Field(examples=["tennis"])
    name: str = Field(examples=["Tennis"])
    shown: bool
    active: bool
    display_order: int | None
    starts_at: datetime | None
    odds: OddsOut | None
    number_of_children: int = Field(description="Also where depth leaves the children out")
    children: list["SportsNodeOut"]


class SportsPriceOut(OddsOut):
    """The price that a selection has had from an instant on; nulls: it had none."""

    at: datetime


class SportsLogOut(BaseModel):
    """What became of a record of a call."""

    model_config = ConfigDict(from_attributes=True)

    call: int = Field(examples=[17], description="The number of the call, which counts those of a brand from 1")
    at: datetime
    place: int = Field(examples=[3], description="The place of the record in the call, from 0")
    kind: Kind
    event_key: str
    record_key: str
    outcome: Outcome


def _odds(price: Price) -> OddsOut:
    fractional = None if price.numerator is None else f"{price.numerator}/{price.denominator}"
    decimal = None if price.decimal is None else float(price.decimal)
    return OddsOut(decimal=decimal, fractional=fractional, american=american(price))


def shown_record(record: ReadRecord) -> SportsRecordOut:
    """A record as the management API shows it."""
    odds = None if record.price.decimal is None else _odds(record.price)
    members = {name: getattr(record, name) for name in SportsRecordOut.model_fields if name != "odds"}
    return SportsRecordOut(odds=odds, **members)


def _node(node: trees.Node) -> SportsNodeOut:
    return SportsNodeOut(
        **node.key._asdict(),
        name=node.name,
        shown=node.shown,
        active=node.active,
        display_order=node.display_order,
        starts_at=node.starts_at,
        odds=None if node.price.decimal is None else _odds(node.price),
        number_of_children=node.number_of_children,
        children=list(map(_node, node.children)),
    )


def _price(price: SportsPrice) -> SportsPriceOut:
    odds = _odds(Price(price.numerator, price.denominator, price.decimal_odds))
    return SportsPriceOut(at=price.at, **odds.model_dump())


def brand_of(principal: Principal, brand: str) -> str:
    """The id of a brand group of the tenant. Raises NotFound."""
    try:
        return brand_groups.brand_group(principal.scope, brand).id
    except NotFound as error:
        raise NotFound("brand is not the id of a brand group of the tenant.") from error


@router.get("/records", summary="List records of the sports inventory")
def list_sports_records(
    brand: Brand,
    kind: Annotated[Kind | None, Query(description="Only records of this kind")] = None,
    parent_kind: Annotated[Kind | None, Query(description="Only records whose parent is of this kind")] = None,
    parent_key: Annotated[str | None, Query(max_length=200, description="Only records of this parent")] = None,
    event_key: Annotated[
        str | None, Query(max_length=200, description="Only markets and selections of this event")
    ] = None,
    search: Annotated[
        str | None, Query(min_length=1, max_length=200, description="Only records one of whose names has this text")
    ] = None,
    shown: Annotated[bool | None, Query(description="Whether customers see the record and all above it")] = None,
    active: Annotated[bool | None, Query(description="Whether the record and all above it can be bet on")] = None,
    starts_from: Annotated[AwareDatetime | None, Query(description="Only events from this instant on")] = None,
    starts_to: Annotated[AwareDatetime | None, Query(description="Only events before this instant")] = None,
    limit: Limit = 100,
    offset: Offset = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[SportsRecordOut]:
    """Records of a brand, by kind, display order, start and key."""
    record_filter = RecordFilter(
        kind, parent_kind, parent_key, event_key, search, shown, active, starts_from, starts_to
    )
    return reading.records(principal.scope, brand_of(principal, brand), record_filter, limit, offset).each(shown_record)


@router.get("/tree", summary="Show the sports inventory as a tree")
def show_sports_tree(
    brand: Brand,
    kind: Annotated[Kind | None, Query(description="The kind of the record to begin at, with record_key")] = None,
    record_key: Annotated[str | None, Query(max_length=200, description="The record to begin at")] = None,
    event_key: Annotated[str, Query(max_length=200, description="The event of a market or selection to begin at")] = "",
    depth: Annotated[int, Query(ge=1, le=len(Kind), description="Levels")] = 3,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[SportsNodeOut]:
    """The records without a parent, or one record, with what hangs on them: at most 2,000 records."""
    if (kind is None) != (record_key is None):
        raise Invalid("kind and record_key go together: they name the record to begin at.")
    root = None if kind is None or record_key is None else RecordKey(kind, event_key, record_key)
    return list(map(_node, trees.tree(principal.scope, brand_of(principal, brand), root, depth)))


@router.get("/prices", summary="List the prices of a selection")
def list_sports_prices(
    brand: Brand,
    event_key: Annotated[str, Query(max_length=200, description="The event of the selection")],
    selection_key: Annotated[str, Query(max_length=200, description="The selection")],
    limit: Limit = 100,
    offset: Offset = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[SportsPriceOut]:
    """Each price that the selection has had in the last 90 days, the newest first."""
    brand = brand_of(principal, brand)
    return reading.prices(principal.scope, brand, event_key, selection_key, limit, offset).each(_price)


@router.get("/log", summary="List what became of records")
def list_sports_log(
    brand: Brand,
    outcome: Annotated[Outcome | None, Query()] = None,
    record_key: Annotated[str | None, Query(max_length=200, description="Only records with this key")] = None,
    last_call: Annotated[
        int | None, Query(ge=1, le=2**63 - 1, description="The newest call to look at, by its number")
    ] = None,
    limit: Limit = 100,
    offset: Offset = 0,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[SportsLogOut]:
    """What became of each record of the newest 1,000 calls, the newest call first. Calls are kept for seven days."""
    log_filter = LogFilter(outcome, record_key, last_call)
    entries = reading.log(principal.scope, brand_of(principal, brand), log_filter, limit, offset)
    return entries.each(SportsLogOut.model_validate)
