"""The demo's tenant as tests see it."""

from dataclasses import dataclass
from datetime import date, timedelta

import httpx

from rapport.access.scope import Scope
from rapport.demo.run import DemoResult


@dataclass(frozen=True)
class Demo:
    """The demo's tenant and its keys; `today` is the execution date of its last cycle."""

    scope: Scope
    result: DemoResult
    client: httpx.Client

    @property
    def data_date(self) -> date:
        return date.fromisoformat(self.result.last_data_date)

    @property
    def today(self) -> date:
        return self.data_date + timedelta(days=1)
