"""Comparison of text ignoring case, the same in the engine and here."""


def fold(text: str) -> str:
    """Text without case, as the engine's lowerUTF8 gives it."""
    return text.lower()
