"""The aggregator port of the SMS API: messages are posted in batches to the address that the aggregator named."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import orjson

from rapport.access.scope import Scope
from rapport.channels.handing import Decided
from rapport.channels.messages import Message, Receipt
from rapport.channels.sms import aggregators, http
from rapport.channels.sms.aggregators import Aggregator
from rapport.channels.sms.posts import Posts
from rapport.channels.sms.sending import SmsTransport
from rapport.channels.sms.settings import SmsChannelSettings
from rapport.errors import Invalid, Unavailable

NO_HANDSHAKE = "aggregator has not made its handshake"
SHORTEST_SECRET = 16
CAMPAIGN_TYPE = 0


def checked(channel: SmsChannelSettings, *, allow_private: bool) -> None:
    """Raises Invalid for settings by which nobody can make a handshake."""
    if len(channel.shared_secret) < SHORTEST_SECRET:
        raise Invalid(
            f"settings.shared_secret must have at least {SHORTEST_SECRET} characters if settings.via is aggregator."
        )


def submission_id(request_id: str, recipient: str) -> str:
    """By which id a report names a message: the request that had it, and its number or customer in any case."""
    return f"{request_id}/{hashlib.sha256(recipient.lower().encode()).hexdigest()[:32]}"


class AggregatorTransport(SmsTransport):
    """A post a batch; what belongs to no campaign, such as a reply to a keyword, has one of its own."""

    def __init__(self, scope: Scope, channel: SmsChannelSettings) -> None:
        super().__init__(scope, channel)
        self._together, self._most = channel.batch_size, 4 * channel.batch_size
        allow_private = scope.stores.settings.allow_private_addresses
        self._posts = Posts(channel.timeout_seconds, allow_private=allow_private)

    def begin(self, messages: Sequence[Message], decided: Decided) -> None:
        """Post them by campaign and template."""
        batches: dict[tuple[int, int, int, str], list[Message]] = defaultdict(list)
        for message in messages:
            origin = message.origin
            alone = "" if origin.campaign_id else message.message_id
            batches[origin.channel_id, origin.campaign_id, origin.template_id, alone].append(message)
        for batch in batches.values():
            aggregator = aggregators.aggregator_of(self._scope, self._channel.shared_secret, batch[0].origin.channel_id)
            if aggregator is None:
                for message in batch:
                    decided.put(Receipt(message.message_id, "failed", NO_HANDSHAKE, away=True))
            else:
                self._posts.begin(self._deliver(aggregator, batch, decided))

    async def _deliver(self, aggregator: Aggregator, batch: Sequence[Message], decided: Decided) -> None:
        try:
            receipts = await self._posted(aggregator, batch)
        except Exception as error:  # a receipt is owed whatever happens
            reason = f"not sent: {type(error).__name__}"
            receipts = [Receipt(message.message_id, "failed", reason) for message in batch]
        for receipt in receipts:
            decided.put(receipt)

    async def _posted(self, aggregator: Aggregator, batch: Sequence[Message]) -> list[Receipt]:
        transmission = self._transmission(aggregator, batch)
        body = orjson.dumps(transmission)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Rapport",
            "X-API-Key": aggregator.api_key,
            "x-hub-signature": aggregators.signature(self._channel.shared_secret, body),
        }
        answer = await self._posts.post(aggregator.send_url, headers, body)
        if answer.ok:
            for message in batch:
                for recipient in filter(None, (message.to, message.customer_id)):
                    self.note_submitted(submission_id(transmission["requestId"], recipient), message)
        return [http.receipt_of(message.message_id, answer, self._channel) for message in batch]

    def _transmission(self, aggregator: Aggregator, batch: Sequence[Message]) -> dict[str, Any]:
        """What is posted; a repetition of the same messages has the same ids."""
        origin, channel = batch[0].origin, self._channel
        digest = hashlib.sha256("/".join(message.message_id for message in batch).encode()).hexdigest()
        request_id, of_campaign = digest[:32], bool(origin.campaign_id)
        return {
            "batchId": f"{origin.campaign_id}-{digest[32:48]}" if of_campaign else "",
            "metadata": {
                "appId": aggregator.channel_id,
                "brandId": (channel.brand or str(aggregator.channel_id)) if of_campaign else "",
                "campaignId": str(origin.campaign_id) if of_campaign else "",
                "campaignType": CAMPAIGN_TYPE,
                "channelId": aggregator.channel_id,
                "engagementId": request_id,
                "isHashed": False,
                "scheduledTime": int(self._scope.clock.now().timestamp() * 1000),
                "tenantId": self._scope.tenant_id,
            },
            "recipients": [
                {"message": message.text, "mobileNumber": message.to, "customerId": message.customer_id}
                for message in batch
            ],
            "requestId": request_id,
            "senderId": channel.sender,
        }

    def check(self) -> None:
        """Whether the aggregator has made its handshake. Raises Unavailable."""
        if aggregators.aggregator_of(self._scope, self._channel.shared_secret) is None:
            raise Unavailable(f"The {NO_HANDSHAKE}.")

    def close(self) -> None:
        """Let posts under way end."""
        self._posts.close()
