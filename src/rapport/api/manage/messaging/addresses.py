"""Words on addresses that may hold a password or a token."""

MASKED_IS_KEPT = "A password or a token that is given as *** is kept if the rest of the address is unchanged"
