"""
DQL, the query language: text in, a tree out. core/execute.py runs it.

    INSERT INTO c DOCUMENTS (value) [, (value) …]
        [ON ID CONFLICT FAIL | DO NOTHING | DO UPDATE]
    SELECT …                                                  core/expression.py

Keywords in any case, names as they are: ASCII letters, digits and `_`. Back-ticks
quote any other name. A board that only inserts its readings, (:name), never
loads the rest of the language. Every mistake is a QueryError that names the
column (SPEC.md, "DQL").
"""

from collections import namedtuple

from edge_peer.core.errors import QueryError
from edge_peer.core.packing import to_utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from edge_peer.core.expression import Node, Select

STATEMENT_CHARS_MAX = 4096

# on_conflict: "FAIL", "NOTHING" or "UPDATE"; documents: nodes
Insert = namedtuple("Insert", ("collection", "documents", "on_conflict"))

NAME, QUOTED, NUMBER, STRING, PARAMETER, SIGN, END = range(7)
_SIGNS = ("<=", ">=", "<>", "!=", "==", "||")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
_DIGITS = "0123456789"
_LATER = ("UPDATE", "DELETE", "EVICT", "CREATE", "DROP", "EXPLAIN")
RESERVED = (
    " SELECT FROM WHERE ORDER BY LIMIT OFFSET AND OR NOT IN LIKE BETWEEN IS AS ASC DESC INSERT"
    " INTO DOCUMENTS ON GROUP HAVING DISTINCT "
)  # between spaces; one string is less RAM than a list of them


def parse(text: str) -> "Select | Insert":
    """Parse one statement; raise QueryError with the column of the first mistake."""
    if len(text) > STATEMENT_CHARS_MAX:
        raise QueryError("a statement has at most %d characters" % STATEMENT_CHARS_MAX)
    try:
        to_utf8(text)
    except ValueError:
        raise QueryError("a statement with half a surrogate pair")
    tokens = _tokens(text)
    try:
        if tokens[0][1].upper() != "SELECT":
            return Parser(tokens).insert()
        from edge_peer.core.expression import parse_select

        return parse_select(tokens)
    except RuntimeError:  # how deep a stack goes differs from board to board
        raise QueryError("nested too deep for this machine")


def _tokens(text: str) -> "list[tuple[int, str, int]]":
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


class Parser:
    """A place in the tokens, and INSERT. Each method takes what it names, or fails."""

    def __init__(self, tokens: "list[tuple[int, str, int]]", at: int = 0) -> None:
        self.tokens = tokens
        self.at = at

    def insert(self) -> Insert:
        if not self.takes("INSERT"):
            word = self.tokens[self.at][1].upper()
            if word in _LATER:
                self.fail(word + " is not built yet; SELECT and INSERT are")
            self.fail("expected SELECT or INSERT")
        self.need("INTO")
        collection = self.name("a collection")
        self.need("DOCUMENTS")
        nodes: list[Node] = []
        while not nodes or self.takes(","):
            self.need("(")
            nodes.append(self._document())
            self.need(")")
        on_conflict = "FAIL"
        if self.takes("ON"):
            self.need("ID")
            self.need("CONFLICT")
            if not self.takes("FAIL"):
                self.need("DO")
                on_conflict = "NOTHING" if self.takes("NOTHING") else "UPDATE"
                if on_conflict == "UPDATE":
                    self.need("UPDATE")
        self.end()
        return Insert(collection, nodes, on_conflict)

    def _document(self) -> "Node":
        kind, text, _ = self.tokens[self.at]
        if kind == PARAMETER:
            self.at += 1
            return ("parameter", text[1:])
        from edge_peer.core.expression import Expression

        parser = Expression(self.tokens, self.at)
        parser.has_fields = False
        node = parser.expression()
        self.at = parser.at
        return node

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
        if kind == QUOTED and text != "``":  # the collection without a name is the store's own
            return unquoted(self.next())
        if kind != NAME or is_reserved(text):
            self.fail("expected %s, not %s" % (what, text))
        return self.next()

    def end(self) -> None:
        if self.tokens[self.at][0] != END:
            self.fail("did not expect %s here" % self.tokens[self.at][1])

    def fail(self, message: str) -> "NoReturn":
        raise QueryError(message, self.tokens[self.at][2])
