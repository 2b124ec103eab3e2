"""How codes of promotions are compared."""


def code_key(code: str) -> str:
    """A code as it is compared: customers write it in any case."""
    return code.strip().lower()
