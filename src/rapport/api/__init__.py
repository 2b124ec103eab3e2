"""The wire: one router a section of the reference, and the management API."""

from fastapi import APIRouter

from rapport.api import (
    actions,
    apikey,
    customers_attributes,
    customers_campaigns,
    customers_model,
    customers_reactions,
    customers_writes,
    general,
    groups,
    model,
    segments,
    unsubscribe,
)
from rapport.api.manage import actions as manage_actions
from rapport.api.manage import (
    attributes,
    audit,
    campaigns,
    channels,
    cycles,
    imports,
    insight,
    keys,
    listeners,
    operator,
    persons,
    series,
    suppressions,
    target_groups,
    templates,
    tenants,
    users,
)

WIRE: tuple[APIRouter, ...] = (
    general.router,
    apikey.router,
    unsubscribe.router,
    model.router,
    customers_model.router,
    segments.router,
    actions.router,
    groups.router,
    customers_campaigns.router,
    customers_reactions.router,
    customers_attributes.router,
    customers_attributes.list_router,
    customers_writes.router,
)
MANAGEMENT: tuple[APIRouter, ...] = (
    tenants.router,
    attributes.router,
    imports.router,
    keys.router,
    audit.router,
    operator.router,
    insight.router,
    manage_actions.router,
    series.router,
    campaigns.router,
    cycles.router,
    channels.router,
    templates.router,
    listeners.router,
    suppressions.router,
    target_groups.router,
    users.router,
    persons.router,
)
