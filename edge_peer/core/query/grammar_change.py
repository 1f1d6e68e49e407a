"""
UPDATE, DELETE and EVICT, from tokens to a tree.

    UPDATE c [SET f = e [, …]] [APPLY f INCREMENT BY e [, …]] [UNSET f [, …]] [WHERE e]
    DELETE FROM c [WHERE e]
    EVICT FROM c [WHERE e]

f is a field's name, or several joined by dots. Ditto's word for INCREMENT is
PN_INCREMENT; both are taken.
"""

from collections import namedtuple

from edge_peer.core.errors import QueryError
from edge_peer.core.query.expression import Expression
from edge_peer.core.query.parser import END

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_peer.core.query.expression import Node

    Action = tuple[str, tuple[str, ...], Node | None, int]

# actions: [(word, path, node or None, column), …] where word is SET, APPLY or UNSET
# and path the names of a field
Update = namedtuple("Update", ("kind", "collection", "where", "actions", "columns"))
# kind: "delete" or "evict"
Removal = namedtuple("Removal", ("kind", "collection", "where", "columns"))


class ChangeParser(Expression):
    def update(self) -> Update:
        collection = self.name("a collection")
        actions: list[Action] = []
        while not actions or not (self.sees("WHERE") or self.tokens[self.at][0] == END):
            word = self.tokens[self.at][1].upper()
            if word not in ("SET", "APPLY", "UNSET"):
                self.fail("expected SET, APPLY, UNSET or WHERE, not " + self.tokens[self.at][1])
            self.at += 1
            actions.append(self._action(word, actions))
            while self.takes(","):
                actions.append(self._action(word, actions))
        where = self.where()
        self.end()
        return Update("update", collection, where, actions, self.columns)

    def remove(self) -> Removal:
        kind = self.tokens[self.at - 1][1].lower()
        self.need("FROM")
        collection = self.name("a collection")
        where = self.where()
        self.end()
        return Removal(kind, collection, where, self.columns)

    def _action(self, word: str, others: "list[Action]") -> "Action":
        column = self.tokens[self.at][2]
        path = self.path()[1:]
        if path[0] == "_id":
            raise QueryError("the _id of a document never changes", column)
        for _, other, _, _ in others:
            size = min(len(path), len(other))
            if path[:size] == other[:size]:
                raise QueryError("%s is changed twice" % ".".join(path[:size]), column)
        if word == "UNSET":
            return word, path, None, column
        if word == "SET":
            if not self.takes("=="):
                self.need("=")
        else:
            if not self.takes("PN_INCREMENT"):
                self.need("INCREMENT")
            self.need("BY")
        return word, path, self.expression(), column
