"""
A request that is answered with an error.
"""


class Refusal(Exception):
    """
    column: the 1-based place in a statement, 0 for none; retry_after_s: when it may be
    worth another try, 0 for never.
    """

    def __init__(
        self, status: int, code: str, description: str, column: int = 0, retry_after_s: int = 0
    ) -> None:
        super().__init__(description)
        self.status = status
        self.error = {"code": code, "description": description, "column": column or None}
        self.headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        if retry_after_s:
            self.headers["Retry-After"] = str(retry_after_s)
