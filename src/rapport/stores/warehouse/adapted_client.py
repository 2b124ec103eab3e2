"""What of the warehouse's client is changed for the whole process."""

from clickhouse_connect.driver import binding, options


def adapt() -> None:
    """Let the client load no pandas, and bind long texts quickly.

    Rows and Arrow tables are all that is handed over. To find out that they are no data of pandas, the client would
    load it, which takes half a second and 40 MB of each process. In a text it looks at each character by itself: for
    ten thousand ids that takes half as long as the engine does.
    """
    options.pd = options.pd_time_test = None
    binding.escape_str = _escaped


def _escaped(value: str) -> str:
    for character in binding.must_escape:  # the backslash first
        value = value.replace(character, binding.BS + character)
    return value
