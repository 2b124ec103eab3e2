"""What the files of an engagement are called within its folder, as the reference names them."""


def metadata(engagement_id: int) -> str:
    """The file that says what the engagement is about."""
    return f"metadata_{engagement_id}"


def customers(number: int) -> str:
    """A file of customers, from 1."""
    return f"customers/customers_file{number:03}.deflate.avro"


def of_engagement(engagement_id: int, files: int) -> list[str]:
    """All files of an engagement that has so many files of customers; what it is about comes last."""
    return [*(customers(number) for number in range(1, files + 1)), metadata(engagement_id)]
