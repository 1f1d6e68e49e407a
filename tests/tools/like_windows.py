"""
Run `edge-peer` under what is known of Windows: `python like_windows.py ARGUMENTS`.

Our own code finds no POSIX module; folders cannot be opened; event loops take no signals and watch
no files. The packages that we use have their own ways there, so they see this computer as it is.
What this does not show is paths, drives and real ports.
"""

import asyncio
import builtins
import os
import sys
import types

MODULES = ("fcntl", "termios", "tty", "pty", "pwd", "grp", "resource", "syslog", "posix")
OURS = ("edge_peer", "edge_tools")


def caller(depth):
    return sys._getframe(depth + 1).f_globals.get("__name__", "").partition(".")[0]


def impose():
    ordinary_import, ordinary_open = builtins.__import__, os.open

    windows = types.SimpleNamespace(**vars(sys) | {"platform": "win32"})

    def import_(name, globals=None, *rest, **named):
        is_ours = (globals or {}).get("__name__", "").startswith(OURS)
        if is_ours and name == "sys":
            return windows
        if is_ours and name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r} (like Windows)")
        return ordinary_import(name, globals, *rest, **named)

    def open_(path, *rest, **named):
        if caller(1) in OURS and os.path.isdir(path):
            raise PermissionError(13, "Permission denied (like Windows)", str(path))
        return ordinary_open(path, *rest, **named)

    def refused(*_):
        raise NotImplementedError

    builtins.__import__, os.open = import_, open_
    loop = asyncio.SelectorEventLoop
    loop.add_signal_handler = loop.add_reader = loop.add_writer = refused


if __name__ == "__main__":
    impose()
    from edge_tools import cli

    cli.app()
