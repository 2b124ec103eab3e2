"""Ids of persons, of whom customers and visitors are one kind each, as they are compared."""

VISITOR = "v:"


def person_of(customer_id: str, visitor_id: str) -> str:
    """Whom something is about: the customer id in lower case, or 'v:' and the visitor id."""
    return customer_id.lower() if customer_id else VISITOR + visitor_id
