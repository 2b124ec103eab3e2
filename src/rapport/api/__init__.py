"""The wire: one router a section of the reference, and the management API."""

from fastapi import APIRouter

from rapport.api import customers_model, general, model, segments
from rapport.api.manage import audit, insight, keys, operator, tenants

WIRE: tuple[APIRouter, ...] = (general.router, model.router, customers_model.router, segments.router)
MANAGEMENT: tuple[APIRouter, ...] = (tenants.router, keys.router, audit.router, operator.router, insight.router)
