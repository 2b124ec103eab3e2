"""JSON as it is written: it is searched in pieces, between which others have the interpreter."""

PIECE = 1 << 20  # bytes
ESCAPED_NULL = b"\\u0000"


def holds_null(written: bytes) -> bool:
    """Whether a text in it has a null character, which no engine stores. That is written as its escape only."""
    if ESCAPED_NULL not in written:
        return False
    rest = b""
    for begin in range(0, len(written), PIECE):
        # Backslashes that are escaped themselves begin nothing.
        read = (rest + written[begin : begin + PIECE]).replace(b"\\\\", b"--")
        if ESCAPED_NULL in read:
            return True
        cut_off = read.rfind(b"\\", max(0, len(read) - len(ESCAPED_NULL) + 1))
        rest = read[cut_off:] if cut_off >= 0 else b""
    return False
