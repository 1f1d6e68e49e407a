"""
DQL beyond a plain INSERT: expressions and SELECT.

    SELECT * | COUNT(*) | e [AS name] [, …] FROM c [WHERE e]
        [ORDER BY e [ASC | DESC] [, …]] [LIMIT n] [OFFSET n]

    e, from weakest to strongest binding
        OR · AND · NOT · = == != <> < <= > >= [NOT] IN [NOT] LIKE [NOT] BETWEEN … AND …
        IS [NOT] NULL | MISSING · + - || · * / % · -x · (e), literal, :name, a.b, [e], {k: e}

A tree is made of tuples, (operator, operands…); evaluate.py knows what each
operator means.
"""

from collections import namedtuple

from edge_peer.core.errors import QueryError
from edge_peer.core.query import (
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

    Node = tuple[Any, ...]

NESTING_MAX = 32  # parentheses and lists inside each other: bounds the recursion

# kind "*": every field; "count": COUNT(*); "list": fields is [(node, name), …]
# order: [(node, whether descending), …]; parameters: the names that need an argument
Select = namedtuple(
    "Select", ("kind", "fields", "collection", "where", "order", "limit", "offset", "parameters")
)

_COMPARISONS = {"==": "=", "<>": "!="}
for _sign in ("=", "!=", "<", "<=", ">", ">="):
    _COMPARISONS[_sign] = _sign


def parse_select(tokens: "list[tuple[int, str, int]]") -> Select:
    parser = Expression(tokens, 1)
    select = parser.select()
    parser.end()
    return select


class Expression(Parser):
    def __init__(self, tokens: "list[tuple[int, str, int]]", at: int = 0) -> None:
        super().__init__(tokens, at)
        self.has_fields = True  # a document that is inserted refers to no other
        self._nesting = 0
        self._parameters: list[str] = []

    def select(self) -> Select:
        kind, fields = self._projection()
        self.need("FROM")
        collection = self.name("a collection")
        where = self.expression() if self.takes("WHERE") else None
        order: list[tuple[Node, bool]] = []
        if self.takes("ORDER"):
            self.need("BY")
            while not order or self.takes(","):
                node = self.expression()
                descending = self.takes("DESC")
                if not descending:
                    self.takes("ASC")
                order.append((node, descending))
        limit = self._primary() if self.takes("LIMIT") else None
        offset = self._primary() if self.takes("OFFSET") else None
        return Select(
            kind, fields, collection, where, order, limit, offset, tuple(self._parameters)
        )

    def _projection(self) -> "tuple[str, list[tuple[Node, str]]]":
        if self.takes("*"):
            return "*", []
        if self.sees("COUNT") and self.tokens[self.at + 1][1] == "(":
            self.at += 2
            self.need("*")
            self.need(")")
            return "count", []
        fields: list[tuple[Node, str]] = []
        while not fields or self.takes(","):
            node = self.expression()
            if self.takes("AS"):
                name = self.name("a name")
            elif node[0] == "field":
                name = node[-1]
            else:
                self.fail("name this expression: … AS name")
            fields.append((node, name))
        return "list", fields

    # Expressions, one method a level of binding

    def expression(self) -> "Node":
        self._nesting += 1
        if self._nesting > NESTING_MAX:
            self.fail("nested deeper than %d" % NESTING_MAX)
        node = self._conjunction()
        while self.takes("OR"):
            node = ("OR", node, self._conjunction())
        self._nesting -= 1
        return node

    def _conjunction(self) -> "Node":
        node = self._negation()
        while self.takes("AND"):
            node = ("AND", node, self._negation())
        return node

    def _negation(self) -> "Node":
        count = 0
        while self.takes("NOT"):
            count += 1
        node = self._comparison()
        if not count:
            return node
        node = ("NOT", node)
        return node if count % 2 else ("NOT", node)

    def _comparison(self) -> "Node":
        node = self._sum()
        sign = self.tokens[self.at][1]
        if self.tokens[self.at][0] == SIGN and sign in _COMPARISONS:
            self.at += 1
            return (_COMPARISONS[sign], node, self._sum())
        if self.takes("IS"):
            negated = self.takes("NOT")
            what = "MISSING" if self.takes("MISSING") else "NULL"
            if what == "NULL":
                self.need("NULL")
            node = ("IS " + what, node)
            return ("NOT", node) if negated else node
        negated = self.sees("NOT") and self.takes("NOT")
        if self.takes("IN"):
            node = ("IN", node, self._sum())
        elif self.takes("LIKE"):
            node = ("LIKE", node, self._sum())
        elif self.takes("BETWEEN"):
            low = self._sum()
            self.need("AND")
            node = ("BETWEEN", node, ("array", low, self._sum()))
        elif negated:
            self.fail("expected IN, LIKE or BETWEEN")
        return ("NOT", node) if negated else node

    def _sum(self) -> "Node":
        node = self._product()
        while self.sees_sign("+", "-", "||"):
            node = (self.next(), node, self._product())
        return node

    def _product(self) -> "Node":
        node = self._signed()
        while self.sees_sign("*", "/", "%"):
            node = (self.next(), node, self._signed())
        return node

    def _signed(self) -> "Node":
        if self.takes("-"):
            return ("-", ("value", 0), self._primary())
        return self._primary()

    def _primary(self) -> "Node":
        kind, text, _ = self.tokens[self.at]
        word = text.upper()
        if kind == NUMBER:
            return ("value", self._number())
        if kind == STRING:
            return ("value", unquoted(self.next()))
        if kind == PARAMETER:
            self._parameters.append(text[1:])
            return ("parameter", self.next()[1:])
        if kind == NAME and word in ("TRUE", "FALSE", "NULL"):
            self.at += 1
            return ("value", {"TRUE": True, "FALSE": False, "NULL": None}[word])
        if self.has_fields and (kind == QUOTED or (kind == NAME and not is_reserved(word))):
            path = [self.name("a field")]
            while self.takes("."):
                path.append(self.name("a field"))
            return tuple(["field"] + path)
        if self.takes("("):
            node = self.expression()
            self.need(")")
            return node
        if self.takes("["):
            return tuple(["array"] + self._items("]", self.expression))
        if self.takes("{"):
            return tuple(["map"] + self._items("}", self._pair))
        self.fail("expected a value, not " + text)

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
