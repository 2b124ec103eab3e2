"""kill -9 while gateways are asked: every question is put again under its id, and every firing is decided once."""

from datetime import UTC, datetime, timedelta

from asked_firings import campaign, fire, firing, open_firings, outcomes
from gateway_server import eventually, gateway_server
from sqlalchemy import update

from loaded_program import begin_script
from rapport.access.scope import Scope
from rapport.realtime import gateways
from rapport.realtime.gateway_worker import Decider
from rapport.realtime.models import Firing
from rapport.stores import Stores

CHILD = """
import sys, time, types
from rapport.realtime.gateway_worker import Decider
from rapport.settings import Settings
from rapport.stores.clock import Clock
from rapport.stores.records import Records
from rapport.stores.workers.base import Workers
settings = Settings(allow_private_addresses=True)
opened = {"records": Records(sys.argv[1]), "settings": settings, "clock": Clock(), "workers": Workers()}
Decider(types.SimpleNamespace(**opened)).start()
time.sleep(60)
"""


def test_questions_in_flight_at_kill_9_are_put_again(stores: Stores, scope: Scope) -> None:
    of = campaign(scope)
    with gateway_server(wait=20) as server:
        gateways.set_gateway(scope, server.url, timeout_seconds=25.0)
        fired = fire(scope, of, *(f"Q{number}" for number in range(40)))
        child = begin_script(CHILD, stores.records.url)
        try:
            eventually(lambda: len(server.asked) == 32, 30)
        finally:
            child.kill()
            child.wait()
        in_flight = {asked.headers["webhook-id"]: asked.user_id for asked in server.asked}
        assert open_firings(scope) == 40
        assert firing(scope, fired[0]).leased_until is not None
        server.wait = 0
        with scope.records() as session:  # as if the time of the leases had come
            past = datetime.now(UTC) - timedelta(seconds=1)
            leased = update(Firing).where(Firing.tenant_id == scope.tenant_id, Firing.leased_until.is_not(None))
            session.execute(leased.values(leased_until=past))
        decider = Decider(stores)
        decider.start()
        try:
            eventually(lambda: open_firings(scope) == 0)
        finally:
            decider.stop()
        assert outcomes(scope, fired) == [("sent", "")] * 40
        again = {asked.headers["webhook-id"]: asked.user_id for asked in server.asked[32:]}
        assert len(server.asked) == 72 and len(again) == 40
        assert again | in_flight == again, "the same question has the same id"
