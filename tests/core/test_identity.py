"""identity.json: read as it was written, or told what is wrong without what is in it."""

import json
from binascii import hexlify, unhexlify

from helpers import raises
from vectors.cases import load

from edge_peer.core.errors import ConfigError
from edge_peer.security.certificate import decode
from edge_peer.security.identity import Identity, app_id_of, from_text, to_text

VECTORS = load("certificate")
AUTHORITY = unhexlify(VECTORS["authority"])
CERTIFICATE = decode(unhexlify(VECTORS["certificates"][0]["certificate"]))
SEED = bytes(range(32))
KEYS = {1: b"\1" * 32, 2: b"\2" * 32}


def identity():
    return Identity(AUTHORITY, SEED, CERTIFICATE, KEYS)


def with_field(name, value):
    fields = json.loads(to_text(identity()))
    fields[name] = value
    return json.dumps(fields)


def test_an_app_id_is_what_the_specification_says():
    assert app_id_of(AUTHORITY) == unhexlify(VECTORS["app_id"])


def test_an_identity_is_read_as_it_was_written():
    one = from_text(to_text(identity()))
    assert (one.authority, one.seed, one.network_keys) == (AUTHORITY, SEED, KEYS)
    assert one.certificate == CERTIFICATE and one.app_id == app_id_of(AUTHORITY)
    assert sorted(json.loads(to_text(one))) == [
        "app_id",
        "authority",
        "certificate",
        "network_keys",
        "seed",
    ]


def test_what_is_wrong_is_told():
    for name, value, says in (
        ("app_id", "00" * 16, "not that of its authority"),
        ("authority", "00", "authority"),
        ("seed", "zz" * 32, "seed"),
        ("seed", None, "seed"),
        ("certificate", "00" * 118, "certificate"),
        ("certificate", VECTORS["checks"][11]["certificate"], "another app"),
        ("network_keys", {}, "network_keys"),
        ("network_keys", {"1": "00"}, "1 is missing"),
        ("network_keys", {"256": "00" * 32}, "numbered"),
        ("network_keys", {"x": "00" * 32}, "numbered"),
        ("network_keys", {"1": "00" * 32, "2": "00" * 32, "3": "00" * 32}, "one or two"),
    ):
        with raises(ConfigError, says):
            from_text(with_field(name, value))
    for text in ("", "[]", "{", "null"):
        with raises(ConfigError):
            from_text(text)


def test_no_error_and_no_repr_shows_a_secret():
    secrets = [hexlify(data).decode() for data in (SEED, KEYS[1], KEYS[2])]
    shown = repr(identity()) + str(identity())
    for name, value in (("app_id", "00" * 16), ("certificate", ""), ("network_keys", 7)):
        try:
            from_text(with_field(name, value))
        except ConfigError as error:
            shown += str(error) + repr(error)
    assert "device" in shown
    for secret in secrets:
        assert secret not in shown and secret[:12] not in shown
