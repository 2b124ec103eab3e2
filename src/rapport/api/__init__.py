"""The wire: one router a section of the reference, and the management API."""

from fastapi import APIRouter

from rapport.api import general
from rapport.api.manage import audit, keys, operator, tenants

WIRE: tuple[APIRouter, ...] = (general.router,)
MANAGEMENT: tuple[APIRouter, ...] = (tenants.router, keys.router, audit.router, operator.router)
