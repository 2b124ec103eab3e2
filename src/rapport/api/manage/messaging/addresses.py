"""Words on addresses that may hold a password or a token."""

MASKED_IS_KEPT = "A password or a token in it that is given as *** is kept while the rest leads to the same place"
