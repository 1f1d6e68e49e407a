"""
DQL, the query language: text in, a tree out. core/query/execute.py runs it.

    INSERT INTO c [INITIAL] DOCUMENTS|VALUES (value) [, (value) …]
        [ON ID CONFLICT FAIL | DO NOTHING | DO UPDATE]
    SELECT …                                                  core/query/grammar_select.py
    UPDATE …, DELETE …, EVICT …                               core/query/grammar_change.py
    CREATE INDEX …, DROP INDEX …                              core/query/grammar_index.py
    EXPLAIN any of these

Keywords in any case, names as they are: ASCII letters, digits and `_`. Back-ticks
quote any other name. A board that only inserts its readings, (:name), never
loads the rest of the language. Every mistake is a QueryError that names the
column (SPEC.md, "DQL").

A statement is a named tuple whose first item says what it does: "insert",
"select", … It keeps the columns that may be needed when it runs:

    columns   {":name": of a parameter's first place, "LIMIT": of its value, …}
"""

from collections import namedtuple

from edge_peer.core.errors import QueryError
from edge_peer.core.limits import HIDDEN
from edge_peer.core.packing import to_utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from edge_peer.core.query.expression import Node

    Token = tuple[int, str, int]
    Statement = Any  # one of the named tuples

STATEMENT_CHARS_MAX = 4096
PARSED_COUNT_MAX = 4  # statements that an application repeats are parsed once

# documents: [(node, column), …]; on_conflict: "FAIL", "NOTHING", "UPDATE", or "INITIAL"
Insert = namedtuple("Insert", ("kind", "collection", "documents", "on_conflict", "columns"))
# statement: what is explained
Explain = namedtuple("Explain", ("kind", "statement", "columns"))

NAME, QUOTED, NUMBER, STRING, PARAMETER, SIGN, END = range(7)
_SIGNS = ("<=", ">=", "<>", "!=", "==", "||")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
_DIGITS = "0123456789"
_VERBS = "SELECT, INSERT, UPDATE, DELETE, EVICT, CREATE, DROP or EXPLAIN"
RESERVED = (
    " SELECT FROM WHERE ORDER BY LIMIT OFFSET AND OR NOT IN LIKE BETWEEN IS AS ASC DESC INSERT"
    " INTO DOCUMENTS ON GROUP HAVING DISTINCT "
)  # between spaces; one string is less RAM than a list of them


def parse(text: str) -> "Statement":
    """Parse one statement; raise QueryError with the column of the first mistake."""
    if len(text) > STATEMENT_CHARS_MAX:
        raise QueryError("a statement has at most %d characters" % STATEMENT_CHARS_MAX)
    try:
        to_utf8(text)
    except ValueError:
        raise QueryError("a statement with half a surrogate pair")
    parser = Parser(tokens_of(text))
    is_explained = parser.takes("EXPLAIN")
    try:
        statement = _parsers(parser)()
    except RuntimeError:  # how deep a stack goes differs from board to board
        raise QueryError("nested too deep for this machine")
    return Explain("explain", statement, statement[-1]) if is_explained else statement


def _parsers(parser: "Parser") -> "Callable[[], Statement]":
    """Return what parses the statement that begins here, its verb taken."""
    word = parser.tokens[parser.at][1].upper()
    if parser.takes("INSERT"):
        return parser.insert
    if parser.takes("SELECT"):
        from edge_peer.core.query.grammar_select import SelectParser

        return SelectParser(parser.tokens, parser.at).select
    if parser.takes("UPDATE") or parser.takes("DELETE") or parser.takes("EVICT"):
        from edge_peer.core.query.grammar_change import ChangeParser

        changes = ChangeParser(parser.tokens, parser.at)
        return changes.update if word == "UPDATE" else changes.remove
    if parser.takes("CREATE") or parser.takes("DROP"):
        from edge_peer.core.query.grammar_index import IndexParser

        indexes = IndexParser(parser.tokens, parser.at)
        return indexes.create if word == "CREATE" else indexes.drop
    parser.fail("expected %s, not %s" % (_VERBS, parser.tokens[parser.at][1]))


def tokens_of(text: str) -> "list[Token]":
    """Return [(kind, text, column), …] with an END at the end."""
    tokens = []
    at = 0
    end = len(text.rstrip(" \t\r\n;"))
    while at < end:
        character = text[at]
        start = at
        if character in " \t\r\n":
            at += 1
            continue
        if character in _LETTERS:
            kind, at = NAME, _name_end(text, at)
        elif character in _DIGITS:
            kind, at = NUMBER, _number_end(text, at)
        elif character in "'\"`":
            kind, at = (QUOTED if character == "`" else STRING), _quote_end(text, at)
        elif character == ":" and at + 1 < end and text[at + 1] in _LETTERS:
            kind, at = PARAMETER, _name_end(text, at + 1)
        elif text[at : at + 2] in _SIGNS:
            kind, at = SIGN, at + 2
        elif character in "=<>+-*/%(),.:{}[]":
            kind, at = SIGN, at + 1
        else:
            raise QueryError("unexpected character " + character, at + 1)
        tokens.append((kind, text[start:at], start + 1))
    tokens.append((END, "the end", end + 1))
    return tokens


def _name_end(text: str, at: int) -> int:
    while at < len(text) and (text[at] in _LETTERS or text[at] in _DIGITS):
        at += 1
    return at


def _number_end(text: str, at: int) -> int:
    while at < len(text) and (text[at] in _DIGITS or text[at] in ".eE"):
        if text[at] in "eE" and text[at + 1 : at + 2] in ("+", "-"):
            at += 1
        at += 1
    return at


def _quote_end(text: str, at: int) -> int:
    """A quote inside is written twice."""
    quote = text[at]
    start = at
    at += 1
    while text[at : at + 1] != quote or text[at + 1 : at + 2] == quote:
        if at >= len(text):
            raise QueryError("text without its closing quote", start + 1)
        at += 2 if text[at] == quote else 1
    return at + 1


def is_reserved(word: str) -> bool:
    return " %s " % word.upper() in RESERVED


def unquoted(text: str) -> str:
    return text[1:-1].replace(2 * text[0], text[0])


_bare: dict[str, str] = {}


def bare(parameter: str) -> str:
    """Return ":name" without its colon; looked up, as making a text takes a board 0.2 ms."""
    if parameter not in _bare:
        if len(_bare) == PARSED_COUNT_MAX:
            _bare.clear()
        _bare[parameter] = parameter[1:]
    return _bare[parameter]


class Parser:
    """A place in the tokens, and INSERT. Each method takes what it names, or fails."""

    def __init__(self, tokens: "list[Token]", at: int = 0) -> None:
        self.tokens = tokens
        self.at = at
        self.columns: dict[str, int] = {}

    def insert(self) -> Insert:
        self.need("INTO")
        collection = self.name("a collection")
        on_conflict = "INITIAL" if self.takes("INITIAL") else "FAIL"
        if not self.takes("VALUES"):  # Ditto has both words
            self.need("DOCUMENTS")
        nodes: list[tuple[Node, int]] = []
        while not nodes or self.takes(","):
            self.need("(")
            column = self.tokens[self.at][2]
            nodes.append((self._document(), column))
            self.need(")")
        if self.takes("ON"):
            if on_conflict == "INITIAL":
                self.at -= 1
                self.fail("INITIAL says already what becomes of documents that exist")
            on_conflict = self._on_conflict()
        self.end()
        return Insert("insert", collection, nodes, on_conflict, self.columns)

    def _on_conflict(self) -> str:
        self.need("ID")
        self.need("CONFLICT")
        if self.takes("FAIL"):
            return "FAIL"
        self.need("DO")
        if self.takes("NOTHING"):
            return "NOTHING"
        self.need("UPDATE")
        return "UPDATE"

    def _document(self) -> "Node":
        if self.tokens[self.at][0] == PARAMETER:
            return self.parameter()
        from edge_peer.core.query.expression import Expression

        parser = Expression(self.tokens, self.at)
        parser.columns = self.columns
        parser.has_fields = False  # a document that is inserted refers to no other
        node = parser.expression()
        self.at = parser.at
        return node

    def parameter(self) -> "Node":
        self.columns.setdefault(self.tokens[self.at][1], self.tokens[self.at][2])
        return ("parameter", bare(self.next()))

    def next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1][1]

    def sees(self, word: str) -> bool:
        kind, text, _ = self.tokens[self.at]
        return (kind == NAME and text.upper() == word) or (kind == SIGN and text == word)

    def takes(self, word: str) -> bool:
        if not self.sees(word):
            return False
        self.at += 1
        return True

    def need(self, word: str) -> None:
        if not self.takes(word):
            self.fail("expected %s, not %s" % (word, self.tokens[self.at][1]))

    def name(self, what: str) -> str:
        kind, text, _ = self.tokens[self.at]
        # Collections without a name, or HIDDEN ones, are the store's own.
        if kind == QUOTED and text != "``" and text[1:-1] not in HIDDEN:
            return unquoted(self.next())
        if kind != NAME or is_reserved(text):
            self.fail("expected %s, not %s" % (what, text))
        return self.next()

    def end(self) -> None:
        if self.tokens[self.at][0] != END:
            self.fail("did not expect %s here" % self.tokens[self.at][1])

    def fail(self, message: str) -> "NoReturn":
        raise QueryError(message, self.tokens[self.at][2])
