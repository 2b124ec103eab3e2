"""MJML as the source of a template's HTML."""

import re
import threading

import mjml as library

from rapport.errors import Invalid

MAX_SOURCE = 100_000  # characters
# The library calls itself for every element within another, and each level takes some kilobytes of the stack: it has
# one of its own, with room for several times as many levels as a source of so many elements can have.
MOST_TAGS = 5_000
STACK_BYTES = 64 * 1024 * 1024
# Defaults are repeated on every element that they hold for.
LONGEST_VALUE = 1000
LONG_VALUE = re.compile(rf"""=\s*["'][^"'<>]{{{LONGEST_VALUE}}}""")
INCLUDES = re.compile(r"<\s*mj-include\b", re.IGNORECASE)
_STARTING = threading.Lock()


def html_of(source: str, html: str = "") -> str:
    """The HTML that MJML stands for. Raises Invalid for what is no MJML, or HTML beside it."""
    if html.strip():
        raise Invalid("html and mjml cannot be given both: html is made of mjml.")
    if len(source) > MAX_SOURCE:
        raise Invalid(f"mjml may have at most {MAX_SOURCE} characters.")
    if source.count("<") > MOST_TAGS:
        raise Invalid(f"mjml has more than {MOST_TAGS} tags.")
    if LONG_VALUE.search(source):
        raise Invalid(f"mjml has an attribute of more than {LONGEST_VALUE} characters.")
    if INCLUDES.search(source):
        raise Invalid("mjml must not include files: put their content into it.")
    return _Conversion(source.strip()).html()


class _Conversion(threading.Thread):
    """One conversion, on a stack of its own."""

    def __init__(self, source: str) -> None:
        super().__init__(name="mjml", daemon=True)
        self._source, self._html, self._fault = source, "", ""

    def run(self) -> None:
        """Convert; whatever happens is kept for who waits."""
        try:
            self._html = library.mjml2html(self._source)
        except ValueError as error:
            self._fault = str(error)
        except BaseException as error:  # the library's own faults are no Exception
            self._fault = type(error).__name__

    def html(self) -> str:
        """The HTML. Raises Invalid."""
        with _STARTING:  # the size holds for all threads that are started meanwhile
            usual = threading.stack_size(STACK_BYTES)
            try:
                self.start()
            finally:
                threading.stack_size(usual)
        self.join()
        if self._fault:
            raise Invalid(f"mjml cannot be read: {self._fault}.")
        return self._html
