"""What the tools raise on purpose, beside edge_peer.core.errors: words for whoever runs them."""


class ToolError(Exception):
    """Shown as one message, without a traceback; the command ends with code 1."""


class ProcessFailed(ToolError):
    """A program ended that should be running; the text shows its last words."""


class ApiError(ToolError):
    """The Big Peer's HTTP API refused, or nobody answered."""


class DemoFailed(ToolError):
    """A reading is wrong, missing or there twice, or a time limit has passed."""
