"""The headers that carry a message's token: one of Rapport's own, and that of a mail provider.

Rapport's own comes back with the message in delivery reports and complaints. A provider takes its header off and
repeats the token in what it reports of the message, under NAME.
"""

OWN = "X-Rapport-Message"
NAME = "rapport"
OF_PROVIDERS = {
    "ses": ("X-SES-MESSAGE-TAGS", f"{NAME}={{token}}"),
    "sendgrid": ("X-SMTPAPI", f'{{{{"unique_args": {{{{"{NAME}": "{{token}}"}}}}}}}}'),
    "mailgun": ("X-Mailgun-Variables", f'{{{{"{NAME}": "{{token}}"}}}}'),
    "postmark": (f"X-PM-Metadata-{NAME}", "{token}"),
    "sparkpost": ("X-MSYS-API", f'{{{{"metadata": {{{{"{NAME}": "{{token}}"}}}}}}}}'),
}


def token_headers(provider: str, token: str) -> dict[str, str]:
    """The headers of a message with a token that leaves by a provider, or by a mail server of no provider ("")."""
    if not token:
        return {}
    headers = {OWN: token}
    if provider:
        name, value = OF_PROVIDERS[provider]
        headers[name] = value.format(token=token)
    return headers
