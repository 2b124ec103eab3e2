"""What a server answers whose records database has no connection left."""

from served import Served
from webhook_receiver import eventually

from engine_outages import full
from rapport.stores.outages import RECORDS_AWAY, refusal

NONE_LEFT = refusal("too many clients already")
PATHS = ("/general/getlastdataupdate", "/manage/v1/channels", "/manage/v1/imports", "/ready")


def test_requests_are_told_to_come_again(served: Served) -> None:
    with full(served.postgres):
        answers = [served.client.get(path) for path in PATHS]
        assert [answer.status_code for answer in answers] == [503] * len(PATHS)
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
        told = [answer.json()["detail"] if "detail" in answer.text else answer.json() for answer in answers]
        # The first ones may have met the end of a connection that was open before.
        assert set(told) <= {NONE_LEFT, RECORDS_AWAY} and NONE_LEFT in told
        assert served.client.get("/health").status_code == 200
    for path in PATHS:
        eventually(lambda path=path: served.client.get(path).status_code == 200)
