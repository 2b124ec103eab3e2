"""A commit wakes who takes the work: nothing here looks for it by itself."""

import time

from asked_firings import campaign, fire, open_firings, outcomes
from gateway_server import eventually, gateway_server

from rapport.access.service import create_tenant
from rapport.realtime import gateways
from rapport.realtime.gateway_worker import Decider
from rapport.stores import Stores


class Woken(Decider):
    poll = 1000.0


def test_a_firing_is_taken_when_it_commits(stores: Stores) -> None:
    tenant = create_tenant(stores, f"woken {time.time_ns()}", "UTC", "EUR")
    of, decider = campaign(tenant), Woken(stores)
    decider.start()
    try:
        with gateway_server() as server:
            gateways.set_gateway(tenant, server.url)
            for number in range(9):
                fired = fire(tenant, of, f"Q{number}")
                eventually(lambda: open_firings(tenant) == 0)
                assert outcomes(tenant, fired) == [("sent", "")]
    finally:
        decider.stop()
