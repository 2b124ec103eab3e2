"""The mail providers that there are."""

from rapport.delivery.returns.providers.base import Provider
from rapport.delivery.returns.providers.mailgun import Mailgun
from rapport.delivery.returns.providers.postmark import Postmark
from rapport.delivery.returns.providers.sendgrid import SendGrid
from rapport.delivery.returns.providers.ses import AmazonSes
from rapport.delivery.returns.providers.sparkpost import SparkPost

PROVIDERS: dict[str, Provider] = {
    provider.name: provider for provider in (AmazonSes(), SendGrid(), Mailgun(), Postmark(), SparkPost())
}
