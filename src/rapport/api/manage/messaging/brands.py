"""Management of brands: as whom mail is sent, from which addresses, how it is signed."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from rapport.access.keys import Principal
from rapport.api.http.auth import admin
from rapport.api.http.known import Body
from rapport.api.http.managed import JsonRoute
from rapport.api.http.pages import Paged
from rapport.api.sections import SectionRouter
from rapport.channels import opening
from rapport.channels.brands import addresses, brands, dkim_keys, dns_checks, dns_records
from rapport.channels.brands import settings as brand_settings
from rapport.channels.brands.dns_checks import Finding, Presence
from rapport.channels.brands.dns_records import DnsRecord, Purpose, RecordType
from rapport.channels.brands.models import AddressRole, Algorithm, Brand, BrandKind, DkimKey, KeyState
from rapport.channels.settings import masked

router = SectionRouter("Management: channels", "/manage/v1/brands", JsonRoute)
Selector = Annotated[str, Path(min_length=1, max_length=63)]
BrandId = Annotated[int, Path(ge=1, le=2**31 - 1)]
SHOWN = {
    "from_address": "hello@shop.example",
    "from_name": "Northwind",
    "reply_to": "care@shop.example",
    "bounce_domain": "bounces.shop.example",
    "postal_address": "Northwind Ltd, 1 High Street, Leeds",
}
SETTINGS = (
    "How mail of the brand leaves, unless its channel says otherwise: "
    f"{', '.join(brand_settings.BrandSettings.model_fields)}"
)


class BrandIn(Body):
    """A brand to create."""

    name: str = Field(min_length=1, max_length=200, examples=["Northwind Outlet"])
    kind: BrandKind = Field(
        BrandKind.MARKETING, description="marketing: mail of campaigns; transactional: mail that an application sends"
    )
    id: int | None = Field(None, ge=1, le=2**31 - 1, examples=[7], description="Its BrandID; assigned if left out")
    settings: dict[str, Any] = Field({}, examples=[SHOWN], description=SETTINGS)


class BrandChange(Body):
    """What to change; members left out stay as they are."""

    name: str = Field("", min_length=1, max_length=200, examples=["Northwind Outlet"])
    kind: BrandKind = BrandKind.MARKETING
    settings: dict[str, Any] = Field(
        {},
        examples=[SHOWN],
        description="Replaces all settings; a masked password is kept if host, port, username and security stay the "
        "same",
    )


class BrandOut(BaseModel):
    """A brand; secrets are shown masked."""

    id: int = Field(examples=[7], description="The BrandID of the wire")
    name: str = Field(examples=["Northwind Outlet"])
    kind: BrandKind
    settings: dict[str, Any] = Field(examples=[SHOWN])
    created_at: datetime


class BrandAddressIn(Body):
    """An address to register."""

    role: AddressRole = Field(description="from: mail is sent from it; reply_to: answers go there")
    address: str = Field(min_length=3, max_length=320, examples=["hello@shop.example"])


class BrandAddressOut(BaseModel):
    """An address of a brand."""

    model_config = ConfigDict(from_attributes=True)

    role: AddressRole
    id: int = Field(examples=[2], description="Templates name the address by it; unique within brand and role")
    address: str = Field(examples=["hello@shop.example"])
    created_at: datetime


class DkimKeysIn(Body):
    """DKIM keys to make."""

    algorithms: list[Algorithm] = Field(
        [Algorithm.RSA, Algorithm.ED25519],
        min_length=1,
        max_length=2,
        description="One key is made for each; mail is signed by one key of each algorithm",
    )


class DkimKeyOut(BaseModel):
    """A DKIM key. The private half is never shown."""

    selector: str = Field(examples=["rsa-20261102-4f1a"])
    algorithm: Algorithm
    state: KeyState = Field(description="pending: it does not sign yet; active: it signs; retired: it no longer signs")
    record: str = Field(
        examples=["v=DKIM1; k=ed25519; p=Kx3v0mB1w8Yt6cJqfQmWQ0J0a3lq8mU3dQ2z1y5n7Zs="],
        description="The TXT record to set as {selector}._domainkey under every domain that the brand sends from",
    )
    created_at: datetime
    changed_at: datetime = Field(description="When its state last changed")


class DnsRecordOut(BaseModel):
    """A DNS record to set, and whether it is there."""

    purpose: Purpose
    type: RecordType
    name: str = Field(
        examples=["_dmarc.shop.example"], description="For a reverse name, the host whose addresses must have it"
    )
    value: str = Field(examples=["v=DMARC1; p=none; rua=mailto:dmarc@shop.example"])
    note: str = Field(description="What the record is for")
    presence: Presence | None = Field(description="null unless check is true; unknown if no name server answered")
    actual: list[str] = Field(description="The record that was found, if any")
    fault: str = Field(examples=["shop.example has no SPF record."], description="What is wrong; empty if nothing is")


class DnsOut(BaseModel):
    """The DNS records of a brand."""

    domains: list[str] = Field(examples=[["shop.example"]], description="The domains of its sender addresses")
    mail_servers: list[str] = Field(
        examples=[["mail.shop.example"]], description="The servers over which its mail leaves"
    )
    ready: bool | None = Field(description="Whether all records are present; null unless check is true")
    records: list[DnsRecordOut]


def _key(key: DkimKey) -> DkimKeyOut:
    return DkimKeyOut.model_validate(
        {name: getattr(key, name) for name in DkimKeyOut.model_fields if name != "record"}
        | {"record": dkim_keys.record_of(key)}
    )


def _record(record: DnsRecord, finding: Finding | None) -> DnsRecordOut:
    checked = {
        "presence": finding.presence if finding else None,
        "actual": list(finding.values) if finding else [],
        "fault": finding.fault if finding else "",
    }
    return DnsRecordOut.model_validate({name: getattr(record, name) for name in DnsRecord.__annotations__} | checked)


def _shown(brand: Brand) -> BrandOut:
    shown = BrandOut.model_validate(brand, from_attributes=True)
    return shown.model_copy(update={"settings": masked(brand_settings.FORM, brand.settings)})


@router.get("", summary="List brands")
def list_brands(page: Paged, principal: Principal = Depends(admin)) -> list[BrandOut]:  # noqa: B008
    """The tenant's brands, by ID. Every e-mail channel has one: its own, unless its setting brand_id names another."""
    return page.of(brands.brands(principal.scope)).each(_shown)


@router.post("", status_code=201, summary="Create a brand")
def create_brand(body: BrandIn, principal: Principal = Depends(admin)) -> BrandOut:  # noqa: B008
    """Create a brand; 409 for a name or ID that is taken."""
    return _shown(brands.create_brand(principal.scope, **body.model_dump()))


@router.get("/{brand_id}", summary="Get a brand")
def get_brand(brand_id: BrandId, principal: Principal = Depends(admin)) -> BrandOut:  # noqa: B008
    """A brand by ID."""
    return _shown(brands.brand(principal.scope, brand_id))


@router.patch("/{brand_id}", summary="Change a brand")
def change_brand(
    brand_id: BrandId,
    body: BrandChange,
    principal: Principal = Depends(admin),  # noqa: B008
) -> BrandOut:
    """Change a brand; its ID stays. Messages that leave from now on are sent with the new settings."""
    return _shown(brands.update_brand(principal.scope, brand_id, **body.model_dump(exclude_unset=True)))


@router.delete("/{brand_id}", status_code=204, summary="Delete a brand")
def delete_brand(brand_id: BrandId, principal: Principal = Depends(admin)) -> None:  # noqa: B008
    """Delete a brand with its addresses and DKIM keys; 409 while a channel belongs to it."""
    brands.delete_brand(principal.scope, brand_id)


@router.get("/{brand_id}/addresses", summary="List the addresses of a brand")
def list_brand_addresses(
    brand_id: BrandId,
    page: Paged,
    role: AddressRole | None = None,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[BrandAddressOut]:
    """Sender and reply addresses, by role and ID, with those that the settings of the brand and its channels name."""
    brands.brand(principal.scope, brand_id)
    return page.of(addresses.addresses(principal.scope, brand_id, role)).each(BrandAddressOut.model_validate)


@router.post("/{brand_id}/addresses", status_code=201, summary="Add an address to a brand")
def add_brand_address(
    brand_id: BrandId,
    body: BrandAddressIn,
    principal: Principal = Depends(admin),  # noqa: B008
) -> BrandAddressOut:
    """Register an address that templates may name; 409 for one that the brand already has."""
    brand = brands.brand(principal.scope, brand_id)
    return BrandAddressOut.model_validate(addresses.add_address(principal.scope, brand, body.role, body.address))


@router.delete("/{brand_id}/addresses/{role}/{address_id}", status_code=204, summary="Remove an address of a brand")
def remove_brand_address(
    brand_id: BrandId,
    role: AddressRole,
    address_id: Annotated[int, Path(ge=1, le=2**31 - 1)],
    principal: Principal = Depends(admin),  # noqa: B008
) -> None:
    """The ID is not given to another address. 409 for an address that the brand or one of its channels sends from."""
    brands.brand(principal.scope, brand_id)
    addresses.remove_address(principal.scope, brand_id, role, address_id)


@router.get("/{brand_id}/dkim-keys", summary="List the DKIM keys of a brand")
def list_dkim_keys(brand_id: BrandId, page: Paged, principal: Principal = Depends(admin)) -> list[DkimKeyOut]:  # noqa: B008
    """Keys with their DNS records, the oldest first."""
    brands.brand(principal.scope, brand_id)
    return page.of(dkim_keys.dkim_keys(principal.scope, brand_id)).each(_key)


@router.post("/{brand_id}/dkim-keys", status_code=201, summary="Make DKIM keys for a brand")
def create_dkim_keys(
    brand_id: BrandId,
    body: DkimKeysIn | None = None,
    principal: Principal = Depends(admin),  # noqa: B008
) -> list[DkimKeyOut]:
    """The first key of an algorithm signs at once. A later one is pending: publish its record, then activate it."""
    algorithms = list(dict.fromkeys((body or DkimKeysIn()).algorithms))
    return [_key(key) for key in dkim_keys.add_keys(principal.scope, brand_id, algorithms)]


@router.post("/{brand_id}/dkim-keys/{selector}/activate", summary="Sign with a DKIM key")
def activate_dkim_key(
    brand_id: BrandId,
    selector: Selector,
    principal: Principal = Depends(admin),  # noqa: B008
) -> DkimKeyOut:
    """The key signs in place of the active one of its algorithm, which is retired. Leave the record of a retired key
    in the DNS for a week: mail that it signed may still be under way.
    """
    return _key(dkim_keys.activate_key(principal.scope, brand_id, selector))


@router.post("/{brand_id}/dkim-keys/{selector}/retire", summary="Stop signing with a DKIM key")
def retire_dkim_key(
    brand_id: BrandId,
    selector: Selector,
    principal: Principal = Depends(admin),  # noqa: B008
) -> DkimKeyOut:
    """No other key takes its place."""
    return _key(dkim_keys.retire_key(principal.scope, brand_id, selector))


@router.delete("/{brand_id}/dkim-keys/{selector}", status_code=204, summary="Delete a DKIM key")
def delete_dkim_key(
    brand_id: BrandId,
    selector: Selector,
    principal: Principal = Depends(admin),  # noqa: B008
) -> None:
    """409 for a key that signs."""
    dkim_keys.remove_key(principal.scope, brand_id, selector)


@router.get("/{brand_id}/dns", summary="Get the DNS records of a brand")
def get_brand_dns(
    brand_id: BrandId,
    check: Annotated[bool, Query(description="Whether to look the records up now")] = False,
    principal: Principal = Depends(admin),  # noqa: B008
) -> DnsOut:
    """The SPF, DKIM, DMARC and MX records and reverse names that the brand's mail needs. With check, Rapport asks the
    name servers, which can take several seconds; 429 while two such checks of the tenant are under way.
    """
    scope = principal.scope
    brand = brands.brand(scope, brand_id)
    records = dns_records.records_of(scope, brand)
    findings: list[Finding] | None = None
    if check:
        with opening.turn(scope):
            findings = dns_checks.checked(scope.stores.settings, records)
    unchecked: list[Finding | None] = [None] * len(records)
    paired = zip(records, findings or unchecked, strict=True)
    return DnsOut(
        domains=dns_records.sender_domains(scope, brand),
        mail_servers=dns_records.mail_hosts(scope, brand),
        ready=None if findings is None else all(finding.presence is Presence.PRESENT for finding in findings),
        records=[_record(record, finding) for record, finding in paired],
    )
