"""
A sheet of labels to print: for each device its name, its serial, and both as a QR code.

Nothing on it is secret. The code says edge-peer:APPID/SERIAL/NAME.
"""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from urllib.parse import quote

import segno

from edge_peer.security.identity import Identity

STYLE = """
body { font: 9pt sans-serif; margin: 8mm; }
main { display: grid; grid-template-columns: repeat(4, 1fr); gap: 3mm; }
div { border: 1px dashed #999; padding: 2mm; text-align: center; break-inside: avoid; }
svg { width: 24mm; height: 24mm; }
b { display: block; overflow-wrap: anywhere; }
"""


def text_of(identity: Identity) -> str:
    """Return what the QR code of a device says."""
    certificate = identity.certificate
    return f"edge-peer:{identity.app_id.hex()}/{certificate.serial}/{quote(certificate.name)}"


def write(path: Path, identities: Iterable[Identity]) -> None:
    """Write an HTML page; a browser prints it, or makes a PDF of it."""
    labels = "\n".join(map(_label, identities))
    path.write_text(
        f'<!doctype html><meta charset="utf-8"><title>Labels</title><style>{STYLE}</style>\n'
        f"<main>\n{labels}\n</main>\n"
    )


def _label(identity: Identity) -> str:
    name, serial = identity.certificate.name, identity.certificate.serial
    code = segno.make(text_of(identity), micro=False).svg_inline(border=1)
    return f"<div>{code}<b>{escape(name)}</b>{serial} · {identity.app_id.hex()[:8]}</div>"
