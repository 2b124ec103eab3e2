"""Addresses in which nothing is to be mended or quoted: nearly all, so that longer rules are seldom worked out."""

import re

PLAIN_MAIL = "^[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,63}@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)*[A-Za-z0-9]$"
PLAIN_ADDRESS = re.compile(PLAIN_MAIL.removesuffix("$") + r"\Z")
