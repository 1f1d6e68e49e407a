"""
The expressions of DQL, from tokens to a tree.

    from weakest to strongest binding
        OR · AND · NOT · = == != <> < <= > >= [NOT] IN [NOT] LIKE [NOT] BETWEEN … AND …
        IS [NOT] NULL | MISSING · + - || · * / % · -x · (e), literal, :name, a.b, [e], {k: e}

A tree is made of tuples, (operator, operands…); core/query/evaluate.py knows what each
operator means. core/query/prefilter.py and the indexes of SQLite read the same tree:

    ("value", v)   ("parameter", name)   ("field", name, …)   ("array", e, …)   ("map", (key, e), …)
    (operator, e)  (operator, e, e)      ("BETWEEN", e, ("array", e, e))
"""

from edge_peer.core.errors import QueryError
from edge_peer.core.query.parser import (
    NAME,
    NUMBER,
    PARAMETER,
    QUOTED,
    SIGN,
    STRING,
    Parser,
    is_reserved,
    unquoted,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge_peer.core.query.parser import Token

    Node = tuple[Any, ...]

NESTING_MAX = 32  # parentheses and lists inside each other: bounds the recursion

_COMPARISONS = {"==": "=", "<>": "!="}
for _sign in ("=", "!=", "<", "<=", ">", ">="):
    _COMPARISONS[_sign] = _sign


_NEGATION, _COMPARISON, _SUM, _PRODUCT = 3, 4, 5, 6
_BINDING = {"OR": 1, "AND": 2}
for _binding, _words in (
    (_COMPARISON, "= == != <> < <= > >= IS NOT IN LIKE BETWEEN"),
    (_SUM, "+ - ||"),
    (_PRODUCT, "* / %"),
):
    for _word in _words.split():
        _BINDING[_word] = _binding


class Expression(Parser):
    def __init__(self, tokens: "list[Token]", at: int = 0) -> None:
        super().__init__(tokens, at)
        self.has_fields = True
        self.field_columns: list[tuple[Node, int]] = []
        self._nesting = 0

    def where(self) -> "Node | None":
        return self.expression() if self.takes("WHERE") else None

    def path(self) -> "Node":
        """Take a field's name, or several joined by dots."""
        column = self.tokens[self.at][2]
        path = ["field", self.name("a field")]
        while self.takes("."):
            path.append(self.name("a field"))
        self.field_columns.append((tuple(path), column))
        return self.field_columns[-1][0]

    def call(self, function: str) -> "Node":
        """Take what stands behind the `(` of a function."""
        self.at -= 2
        self.fail("there is no %s() here" % function)

    # Expressions: two calls for each level of brackets, as a board's stack holds about 30

    def expression(self, above: int = 0) -> "Node":
        """Take operators that bind tighter than `above` (precedence climbing)."""
        count = 0
        while above < _COMPARISON and self.takes("NOT"):
            count += 1
        if count:
            node: Node = ("NOT", self.expression(_NEGATION))
            if count % 2 == 0:
                node = ("NOT", node)
        elif self.takes("-"):
            node = ("-", ("value", 0), self._primary())
        else:
            node = self._primary()
        limit = _PRODUCT + 1
        while True:
            kind, text, _ = self.tokens[self.at]
            word = text.upper()
            binding = _BINDING.get(word, 0) if kind == SIGN or kind == NAME else 0
            if not above < binding < limit:
                return node
            self.at += 1
            if binding != _COMPARISON:
                node = (word, node, self.expression(binding))
            else:
                limit = _COMPARISON  # one comparison does not compare with another
                node = self._compared(node, word)

    def _compared(self, node: "Node", word: str) -> "Node":
        if word in _COMPARISONS:
            return (_COMPARISONS[word], node, self.expression(_COMPARISON))
        if word == "IS":
            negated = self.takes("NOT")
            what = "MISSING" if self.takes("MISSING") else "NULL"
            if what == "NULL":
                self.need("NULL")
            node = ("IS " + what, node)
            return ("NOT", node) if negated else node
        negated = word == "NOT"
        if negated:
            word = self.tokens[self.at][1].upper()
            if word not in ("IN", "LIKE", "BETWEEN"):
                self.fail("expected IN, LIKE or BETWEEN")
            self.at += 1
        right = self.expression(_COMPARISON)
        if word == "BETWEEN":
            self.need("AND")
            right = ("array", right, self.expression(_COMPARISON))
        node = (word, node, right)
        return ("NOT", node) if negated else node

    def _primary(self) -> "Node":
        kind, text, _ = self.tokens[self.at]
        word = text.upper()
        if kind == NUMBER:
            return ("value", self._number())
        if kind == STRING:
            return ("value", unquoted(self.next()))
        if kind == PARAMETER:
            return self.parameter()
        if kind == NAME and word in ("TRUE", "FALSE", "NULL"):
            self.at += 1
            return ("value", {"TRUE": True, "FALSE": False, "NULL": None}[word])
        if kind == NAME and self.tokens[self.at + 1][1] == "(" and not is_reserved(word):
            self.at += 2
            return self.call(word)
        if self.has_fields and (kind == QUOTED or (kind == NAME and not is_reserved(word))):
            return self.path()
        if text not in ("(", "[", "{") or kind != SIGN:
            self.fail("expected a value, not " + text)
        self.at += 1
        self._nesting += 1
        if self._nesting > NESTING_MAX:
            self.fail("nested deeper than %d" % NESTING_MAX)
        if text == "(":
            node = self.expression()
            self.need(")")
        elif text == "[":
            node = tuple(["array"] + self._items("]", self.expression))
        else:
            node = tuple(["map"] + self._items("}", self._pair))
        self._nesting -= 1
        return node

    def _items(self, closing: str, item):  # type: ignore[no-untyped-def]
        items = []
        if not self.takes(closing):
            items.append(item())
            while self.takes(","):
                items.append(item())
            self.need(closing)
        return items

    def _pair(self) -> "tuple[str, Node]":
        key = unquoted(self.next()) if self.tokens[self.at][0] == STRING else self.name("a key")
        kind, text, column = self.tokens[self.at]
        if kind == PARAMETER:  # {"on":true}: the tokens cannot tell it from the parameter :true
            self.tokens[self.at] = (NAME, text[1:], column + 1)
        else:
            self.need(":")
        return key, self.expression()

    def _number(self) -> "int | float":
        column = self.tokens[self.at][2]
        text = self.next()
        try:
            return float(text) if "." in text or "e" in text.lower() else int(text)
        except ValueError:
            raise QueryError(text + " is not a number", column)
