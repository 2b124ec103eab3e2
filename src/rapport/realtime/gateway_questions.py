"""What a gateway is asked about a firing, what its answer means, and what becomes of the firing when it has none."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson

from rapport.access.scope import Scope
from rapport.campaigns import definitions, occurrences
from rapport.channels import service as channels
from rapport.errors import NotFound
from rapport.messaging import templates
from rapport.realtime.gateways import DENY
from rapport.stores.outside.posting import Answer

ALLOWED, NOT_ALLOWED = "allowed", "not allowed"
CIRCUIT_OPEN, NONE_SET = "circuit open", "none set"
# Faults of the far end that may be over in a moment; what it says on purpose is not asked again.
TOO_MANY, SERVER_FAULT = 429, 500
# How a verdict came about.
BY_GATEWAY, BY_FALLBACK, BY_RULE = "gateway", "fallback", "no gateway"


@dataclass(frozen=True)
class Verdict:
    """What was decided about a firing and how, as it is kept with it. sentence says it for people.

    phrase is one of few; status and milliseconds are those of the last attempt and of all of them.
    """

    allowed: bool
    how: str
    phrase: str
    sentence: str
    status: int | None = None
    milliseconds: int = 0
    attempts: int = 0
    asked_at: str | None = None

    @property
    def reason(self) -> str:
        """Why a firing was left out, as campaigns account for it."""
        return f"gateway: {self.phrase}"

    def kept(self) -> dict[str, Any]:
        """The verdict as the firing keeps it: the phrase is called found there."""
        members = asdict(self)
        return {"found": members.pop("phrase"), **members}


@dataclass(frozen=True)
class Reply:
    """The last answer of a gateway to one question: its verdict, or why it is none."""

    allowed: bool | None
    phrase: str
    status: int | None
    passing: bool = False


def read(answer: Answer, user_id: str) -> Reply:
    """The verdict in an answer about a user. Only 200 with that user's id and a boolean is one."""
    if answer.status is None:
        # Words about an address are a sentence; the few others are phrases already.
        phrase = answer.error if answer.error[:1].islower() else "address not usable"
        return Reply(None, phrase, None, passing=True)
    if answer.status != 200:
        return Reply(None, f"answered {answer.status}", answer.status, _is_passing(answer.status))
    if answer.body is None:
        return Reply(None, "answer too long", 200)
    try:
        data = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return Reply(None, "answer is no JSON", 200)
    if not isinstance(data, dict) or not isinstance(data.get("allowed"), bool):
        return Reply(None, "answer without a verdict", 200)
    if data.get("user_id") != user_id:
        return Reply(None, "answer about another user", 200)
    return Reply(data["allowed"], ALLOWED if data["allowed"] else NOT_ALLOWED, 200)


def _is_passing(status: int) -> bool:
    return status == TOO_MANY or status >= SERVER_FAULT


def verdict_of(reply: Reply, fallback: str, milliseconds: int, attempts: int, asked_at: datetime) -> Verdict:
    """What a reply comes to; one without a verdict comes to the fallback."""
    exchange: dict[str, Any] = {
        "status": reply.status,
        "milliseconds": milliseconds,
        "attempts": attempts,
        "asked_at": asked_at.isoformat(timespec="milliseconds"),
    }
    if reply.allowed is not None:
        sentence = f"The gateway answered: {reply.phrase}."
        return Verdict(reply.allowed, BY_GATEWAY, reply.phrase, sentence, **exchange)
    sentence = f"The gateway gave no verdict ({reply.phrase}), so the fallback applied: {fallback}."
    return Verdict(fallback != DENY, BY_FALLBACK, reply.phrase, sentence, **exchange)


def unasked(fallback: str) -> Verdict:
    """The verdict while the circuit is open."""
    sentence = f"The gateway had not answered for some time and was not asked, so the fallback applied: {fallback}."
    return Verdict(fallback != DENY, BY_FALLBACK, CIRCUIT_OPEN, sentence)


NO_GATEWAY = Verdict(False, BY_RULE, NONE_SET, "No gateway is set, so nothing could approve it.")


def campaign_part(scope: Scope, campaign_id: int, group: int) -> dict[str, Any]:
    """What a question says of the campaign, for the members of a recipient group."""
    campaign = occurrences.occurrence(scope, campaign_id)
    planned = campaign.plan.group(group)
    names = {channel.id: channel.name for channel in channels.channels(scope)}
    return {
        "id": campaign.id,
        "series_id": campaign.series_id,
        "notes": campaign.notes,
        "tags": campaign.tags,
        "action": {
            "id": planned.action_id,
            "name": definitions.action(scope, planned.action_id).name,
            "promo_codes": list(planned.promo_codes or ()) or None,
            "channels": [
                {
                    "id": channel.channel_id,
                    "name": names.get(channel.channel_id, ""),
                    "brand_id": None,
                    "templates": [_template(scope, channel.channel_id, channel.template_id)],
                }
                for channel in planned.channels
            ],
        },
    }


def _template(scope: Scope, channel_id: int, template_id: int) -> dict[str, Any]:
    """A template by id; one of an outside system need not be registered, and has no name then."""
    try:
        return {"id": template_id, "name": templates.template(scope, channel_id, template_id).name}
    except NotFound:
        return {"id": template_id, "name": ""}
