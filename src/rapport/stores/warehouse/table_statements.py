"""CREATE TABLE statements of the warehouse as a backup holds them: the only SQL of a file that a restore carries out.

Whoever made the file wrote them, so each is parsed, and refused when it is anything but a table of columns kept by the
engine itself: no query, no address, no file, no disk, no function beside those of our own tables.
"""

import re
from collections.abc import Callable

from rapport.errors import Invalid

TOKEN = re.compile(
    r"\s+|(?P<quoted>`(?:[^`\\]|\\.)+`)|(?P<text>'(?:[^'\\]|\\.|'')*')|(?P<number>-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<sign>[(),=])",
    re.ASCII | re.DOTALL,
)
# Functions of keys, defaults and indexes; types have names that begin with a capital.
FUNCTIONS = {"lowerUTF8", "minmax", "bloom_filter", "now", "now64", "toYYYYMM", "toYear", "tuple"}
TYPE = re.compile(r"[A-Z]\w*")
# A state of an aggregation is read by code of its own for each function.
REFUSED_TYPES = {"AggregateFunction", "SimpleAggregateFunction", "Object"}
ENGINE = re.compile(r"(?P<shared>Replicated|Shared)?(Replacing|Summing|Aggregating)?MergeTree|Memory|Join")
# Where the tables of a cluster meet: a place of the table's own.
REPLICA_ARGUMENT = re.compile(r"'[^']*\{uuid\}[^']*'|'\{replica\}'")
WORDS_OF_JOIN = re.compile(r"[A-Za-z_]\w*")


def require_table(name: str, statement: str) -> None:
    """Raises Invalid when a statement does more than to make a table of that name."""
    try:
        _Statement(statement).table(name)
    except (ValueError, RecursionError) as error:
        raise Invalid(
            f"The backup was changed: the statement of its table {name} does more than create one."
        ) from error


class _Statement:
    """The tokens of a statement, taken one after the other. Every method raises ValueError at what it does not know."""

    def __init__(self, statement: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while position < len(statement):
            match = TOKEN.match(statement, position)
            if match is None:
                raise ValueError(statement[position])
            if match.lastgroup:
                self._tokens.append((match.lastgroup, match[0]))
            position = match.end()
        self._tokens.append(("end", ""))
        self._next = 0

    def table(self, name: str) -> None:
        """CREATE TABLE name (columns) ENGINE = ... and nothing behind it."""
        self._words("CREATE", "TABLE")
        if self._take("word", "quoted").strip("`") != name:
            raise ValueError(name)
        self._listed(self._definition)
        self._words("ENGINE")
        self._take_text("=")
        self._engine()
        for words in (("PARTITION", "BY"), ("PRIMARY", "KEY"), ("ORDER", "BY")):
            if self._comes(words[0]):
                self._words(*words)
                self._expression()
        if self._comes("SETTINGS"):
            self._words("SETTINGS")
            self._settings()
        self._comment()
        self._take("end")

    def _definition(self) -> None:
        if self._comes("INDEX"):
            self._words("INDEX")
            self._take("word", "quoted")
            self._expression()
            self._words("TYPE")
            self._expression()
            self._words("GRANULARITY")
            self._take("number")
            return
        self._take("quoted", "word")
        self._type()
        if self._comes("DEFAULT"):
            self._words("DEFAULT")
            self._expression()
        self._comment()

    def _comment(self) -> None:
        if self._comes("COMMENT"):
            self._words("COMMENT")
            self._take("text")

    def _engine(self) -> None:
        match = ENGINE.fullmatch(self._take("word"))
        if match is None:
            raise ValueError("engine")
        if self._comes("("):
            allowed = REPLICA_ARGUMENT if match["shared"] else WORDS_OF_JOIN
            self._listed(lambda: self._argument(allowed))

    def _argument(self, allowed: re.Pattern[str]) -> None:
        text = self._take("word", "quoted", "text").strip("`")
        if not allowed.fullmatch(text):
            raise ValueError(text)

    def _type(self) -> None:
        """A type: String, DateTime64(3, 'UTC'), Map(LowCardinality(String), String), Enum8('a' = 1)."""
        name = self._take("word")
        if not TYPE.fullmatch(name) or name in REFUSED_TYPES:
            raise ValueError(name)
        if self._comes("("):
            self._listed(self._type_argument)

    def _type_argument(self) -> None:
        kind, text = self._tokens[self._next]
        if kind in ("number", "text"):
            self._take(kind)
            if self._comes("="):
                self._take_text("=")
                self._take("number")
            return
        if kind == "quoted" or not TYPE.fullmatch(text):  # a member of a tuple has a name
            self._take("quoted", "word")
        self._type()

    def _expression(self) -> None:
        """A column, a value, or one of our functions of such."""
        if self._comes("("):
            self._listed(self._expression)
            return
        kind, name = self._tokens[self._next]
        self._take("word", "quoted", "text", "number")
        if self._comes("("):
            if kind != "word" or name not in FUNCTIONS:
                raise ValueError(name)
            self._listed(self._expression)

    def _settings(self) -> None:
        """Numbers only: what leads to a disk, a policy or a path has a text or a call as its value."""
        while True:
            self._take("word")
            self._take_text("=")
            self._take("number")
            if not self._comes(","):
                return
            self._take_text(",")

    def _listed(self, member: Callable[[], None]) -> None:
        self._take_text("(")
        while not self._comes(")"):
            member()
            if not self._comes(")"):
                self._take_text(",")
        self._take_text(")")

    def _comes(self, text: str) -> bool:
        kind, token = self._tokens[self._next]
        return kind in ("word", "sign") and token == text

    def _take(self, *kinds: str) -> str:
        kind, text = self._tokens[self._next]
        if kind not in kinds:
            raise ValueError(text)
        self._next += 1
        return text

    def _take_text(self, text: str) -> None:
        if self._take("sign") != text:
            raise ValueError(text)

    def _words(self, *words: str) -> None:
        for word in words:
            if self._take("word") != word:
                raise ValueError(word)
