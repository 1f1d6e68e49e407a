"""
CREATE INDEX and DROP INDEX, from tokens to a tree.

    CREATE INDEX [IF NOT EXISTS] i ON c (f [, …])
    DROP INDEX [IF EXISTS] i ON c
"""

from collections import namedtuple

from edge_peer.core.errors import QueryError
from edge_peer.core.query.expression import Expression

# if_exists: in CREATE, whether there may be one; in DROP, whether there may be none
# paths: ["a", "b\0c", …], as in core/document.py; column: of the index's name
CreateIndex = namedtuple(
    "CreateIndex", ("kind", "name", "collection", "paths", "if_exists", "columns")
)
DropIndex = namedtuple("DropIndex", ("kind", "name", "collection", "if_exists", "columns"))

INDEX_PATH_COUNT_MAX = 8


class IndexParser(Expression):
    def create(self) -> CreateIndex:
        self.need("INDEX")
        may_exist = self.takes("IF")
        if may_exist:
            self.need("NOT")
            self.need("EXISTS")
        name, collection = self._name()
        self.need("(")
        paths = [self._path()]
        while self.takes(","):
            paths.append(self._path())
        self.need(")")
        self.end()
        return CreateIndex("create index", name, collection, paths, may_exist, self.columns)

    def drop(self) -> DropIndex:
        self.need("INDEX")
        may_lack = self.takes("IF")
        if may_lack:
            self.need("EXISTS")
        name, collection = self._name()
        self.end()
        return DropIndex("drop index", name, collection, may_lack, self.columns)

    def _name(self) -> "tuple[str, str]":
        """Take `i ON c`."""
        self.columns["INDEX"] = self.tokens[self.at][2]
        name = self.name("an index")
        self.need("ON")
        return name, self.name("a collection")

    def _path(self) -> str:
        column = self.tokens[self.at][2]
        path = "\0".join(self.path()[1:])
        if path == "_id":
            raise QueryError("every document is found by its _id without an index", column)
        if len(self.field_columns) > INDEX_PATH_COUNT_MAX:
            raise QueryError("an index has at most %d fields" % INDEX_PATH_COUNT_MAX, column)
        return path
