"""
SELECT, from tokens to a tree.

    SELECT [DISTINCT] * | e [AS name] [, …] FROM c [WHERE e]
        [GROUP BY e [, …]] [HAVING e] [ORDER BY e [ASC | DESC] [, …]] [LIMIT n] [OFFSET n]

    aggregates, in e anywhere but in WHERE and GROUP BY
        COUNT(*) · COUNT(e) · COUNT(DISTINCT e) · SUM(e) · AVG(e) · MIN(e) · MAX(e)

An aggregate stands in the tree as the field `#0`, `#1`, …, and what is the same as
an expression of GROUP BY as `@0`, `@1`, … They are the fields of a group, which
core/query/group.py makes of the documents in it.
"""

from collections import namedtuple

from edge_peer.core.errors import QueryError
from edge_peer.core.query.expression import Expression

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.query.expression import Node
    from edge_peer.core.query.parser import Token

    Order = list[tuple[Node, bool]]

# fields: [(node, name), …]; empty for *
# groups: nodes; aggregates: [(function, whether distinct, node or None for *), …]
# is_grouped: there are groups or aggregates; order: [(node, whether descending), …]
Select = namedtuple(
    "Select",
    (
        "kind",
        "is_distinct",
        "fields",
        "collection",
        "where",
        "groups",
        "aggregates",
        "is_grouped",
        "having",
        "order",
        "limit",
        "offset",
        "columns",
    ),
)

AGGREGATES = ("COUNT", "SUM", "AVG", "MIN", "MAX")
_FORBIDDEN = "aggregates stand in what is selected, in HAVING and in ORDER BY"


class SelectParser(Expression):
    def __init__(self, tokens: "list[Token]", at: int) -> None:
        super().__init__(tokens, at)
        self._aggregates: list[tuple[str, bool, Node | None]] = []
        self._may_aggregate = True
        self._groups: list[Node] = []
        self._aliases: dict[str, Node] = {}  # of AS, for HAVING and ORDER BY

    def select(self) -> Select:
        is_distinct = self.takes("DISTINCT")
        star_column = self.tokens[self.at][2]
        fields = [] if self.takes("*") else self._projection()
        self.need("FROM")
        collection = self.name("a collection")
        self._may_aggregate = False
        where = self.where()
        self._group_by()
        self._may_aggregate = True
        having = self._having()
        order = self._order_by()
        limit, offset = self._count("LIMIT"), self._count("OFFSET")
        self.end()
        is_grouped = bool(self._groups or self._aggregates)
        if is_grouped:
            if not fields:
                raise QueryError("say what to show of each group, instead of *", star_column)
            fields = [(self._of_group(node), name) for node, name in fields]
            self._aliases = {name: node for node, name in fields if name in self._aliases}
            having = having and self._of_group(having)
            order = [(self._of_group(node), descending) for node, descending in order]
        elif having:
            raise QueryError("HAVING is for groups; WHERE is for documents", self.columns["HAVING"])
        return Select(
            "select", is_distinct, fields, collection, where, self._groups, self._aggregates,
            is_grouped, having, order, limit, offset, self.columns,
        )  # fmt: skip

    def _projection(self) -> "list[tuple[Node, str]]":
        fields: list[tuple[Node, str]] = []
        names = set()
        while not fields or self.takes(","):
            column = self.tokens[self.at][2]
            word = self.tokens[self.at][1]
            before = len(self._aggregates)
            node = self.expression()
            if self.takes("AS"):
                name = self.name("a name")
                self._aliases[name] = node
            elif node[0] != "field":
                self.fail("name this expression: … AS name")
            else:
                name = word.lower() if len(self._aggregates) > before else node[-1]
            if name in names:
                raise QueryError("%s is there twice; name one of them: … AS name" % name, column)
            names.add(name)
            fields.append((node, name))
        return fields

    def _group_by(self) -> None:
        if self.takes("GROUP"):
            self.need("BY")
            while not self._groups or self.takes(","):
                self._groups.append(self.expression())

    def _having(self) -> "Node | None":
        if not self.takes("HAVING"):
            return None
        self.columns["HAVING"] = self.tokens[self.at - 1][2]
        return self.expression()

    def _order_by(self) -> "Order":
        order: Order = []
        if self.takes("ORDER"):
            self.need("BY")
            while not order or self.takes(","):
                node = self.expression()
                if node[0] == "field" and len(node) == 2 and node[1] in self._aliases:
                    node = self._aliases[node[1]]
                descending = self.takes("DESC")
                if not descending:
                    self.takes("ASC")
                order.append((node, descending))
        return order

    def _count(self, word: str) -> "Node | None":
        if not self.takes(word):
            return None
        self.columns[word] = self.tokens[self.at][2]
        return self._primary()

    # Aggregates

    def call(self, function: str) -> "Node":
        if function not in AGGREGATES:
            self.at -= 2
            self.fail("there is no %s(); there are %s" % (function, ", ".join(AGGREGATES)))
        if not self._may_aggregate:
            self.at -= 2
            self.fail("an aggregate stands in SELECT, HAVING or ORDER BY")
        is_distinct = False
        node: Node | None = None
        if function != "COUNT" or not self.takes("*"):
            is_distinct = function == "COUNT" and self.takes("DISTINCT")
            self._may_aggregate = False
            node = self.expression()
            self._may_aggregate = True
        self.need(")")
        self._aggregates.append((function, is_distinct, node))
        return ("field", "#%d" % (len(self._aggregates) - 1))

    def _of_group(self, node: "Node") -> "Node":
        """Return the node with fields of the group in place of fields of a document."""
        for i in range(len(self._groups)):
            group = self._groups[i]
            if repr(node) == repr(group):  # 1, 1.0 and True are equal
                return ("field", "@%d" % i)
            if group[0] == "field" and node[: len(group)] == group:
                return ("field", "@%d" % i) + node[len(group) :]
        if node[0] == "field":
            if node[1] in self._aliases and len(node) == 2:
                return self._aliases[node[1]]
            columns = [column for one, column in self.field_columns if one is node]
            if columns:
                raise QueryError(
                    "%s differs inside a group: put it into GROUP BY or an aggregate"
                    % ".".join(node[1:]),
                    columns[0],
                )
            return node
        if node[0] == "map":
            return ("map",) + tuple([(key, self._of_group(one)) for key, one in node[1:]])
        if node[0] == "value" or node[0] == "parameter":
            return node
        return (node[0],) + tuple([self._of_group(one) for one in node[1:]])
