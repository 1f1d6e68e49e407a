"""TLS with real certificates and real clients, and reverse proxies that are trusted or not."""

import json
import re
import ssl

import httpx
import pytest
from certificates import Authority
from websockets.sync.client import connect

from edge_peer.bigpeer.settings import Settings, completed, load
from edge_peer.bigpeer.tls import Certificate, Files
from edge_peer.core.errors import ConfigError

PASSWORD = "brick sofa tundra nine"
LIMIT_S = 20


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def secure(start, tmp_path, authority):
    """A Big Peer with HTTPS, and clients that check its certificate."""
    server = start(tmp_path / "big", tls=Files(*authority.sign("server")))
    server.trust = ssl.create_default_context(cafile=authority.path)
    server.url = f"https://127.0.0.1:{server.big.http_port}"
    server.client = httpx.Client(base_url=server.url, verify=server.trust, timeout=LIMIT_S)
    return server


def peer_certificate(server):
    with httpx.Client(verify=server.trust) as client, client.stream("GET", server.url) as answer:
        return answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert()


def test_the_api_answers_over_https(secure):
    secure.execute("INSERT INTO c DOCUMENTS ({'a': 1})")
    assert secure.execute("SELECT a FROM c")["items"] == [{"a": 1}]


def test_who_does_not_know_the_authority_does_not_connect(secure):
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(secure.url + "/health")


def test_without_tls_nothing_is_answered(secure):
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(secure.url.replace("https", "http") + "/health")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_refused(secure, authority):
    old = ssl.create_default_context(cafile=authority.path)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(httpx.ConnectError):
        httpx.get(secure.url, verify=old)


def test_cookies_travel_over_tls_only(secure):
    response = secure.client.get("/", params={"key": secure.api_key})
    (header,) = response.headers.get_list("Set-Cookie")
    assert header.startswith("__Host-edge_peer_")
    assert "Secure" in header and "Path=/" in header and "Domain" not in header
    page = secure.client.get("/")
    assert page.status_code == 200 and f"curl {secure.url}/api" in page.text


def test_the_open_page_is_a_websocket_over_tls(secure):
    secure.client.get("/", params={"key": secure.api_key})
    cookie = "; ".join(f"{name}={value}" for name, value in secure.client.cookies.items())
    url = secure.url.replace("https", "wss") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with connect(
        url, ssl=secure.trust, additional_headers={"Cookie": cookie}, origin=secure.url
    ) as socket:
        assert socket.recv(LIMIT_S).startswith("0")


def test_a_renewed_certificate_is_taken_without_a_restart(secure, authority):
    before = peer_certificate(secure)["serialNumber"]
    secure.do(secure.big.certificate.refresh)
    assert peer_certificate(secure)["serialNumber"] == before
    authority.sign("server")
    secure.do(secure.big.certificate.refresh)
    assert peer_certificate(secure)["serialNumber"] != before


def test_a_renewal_that_is_half_done_leaves_the_old_certificate(secure, authority, caplog):
    before = peer_certificate(secure)["serialNumber"]
    certificate, _ = authority.sign("other")
    secure.big.options.tls.certificate.write_bytes(certificate.read_bytes())
    secure.do(secure.big.certificate.refresh)
    assert peer_certificate(secure)["serialNumber"] == before
    secure.big.options.tls.key.unlink()
    secure.do(secure.big.certificate.refresh)
    assert peer_certificate(secure)["serialNumber"] == before


def test_files_that_cannot_be_used_are_told_with_the_reason(authority, tmp_path):
    certificate, key = authority.sign("one")
    _, other = authority.sign("two")
    _, locked = authority.sign("three", b"passphrase")
    (tmp_path / "text").write_text("no PEM")
    for files, reason in (
        (Files(certificate, other), "do not belong together"),
        (Files(certificate, tmp_path / "text"), "no PEM"),
        (Files(certificate, tmp_path / "nothing"), "No such file"),
        (Files(tmp_path / "three.pem", locked), "passphrase"),
    ):
        with pytest.raises(ConfigError, match=reason):
            Certificate(files)
    Certificate(Files(certificate, key))


# What big.json says


def with_fields(folder, **fields):
    load(folder)
    path = folder / "big.json"
    path.write_text(json.dumps(fields))
    return completed(Settings(folder))


def test_the_settings_file_may_name_the_certificate(tmp_path):
    found = with_fields(
        tmp_path,
        tls={"cert": "a.pem", "key": "/etc/b.key"},
        trusted_proxies=["10.0.0.0/8"],
        mqtt={"host": "b", "user": "u", "password": "secret", "tls": {"ca": "ca.pem"}},
    )
    assert [str(path) for path in (found.tls.certificate, found.tls.key)] == [
        str(tmp_path / "a.pem"), "/etc/b.key",
    ]  # fmt: skip
    assert found.trusted_proxies == ("10.0.0.0/8",)
    assert found.mqtt["tls"] == {"ca": str(tmp_path / "ca.pem")}
    assert "secret" not in repr(found)
    assert load(found.data).identity == load(tmp_path).identity


@pytest.mark.parametrize(
    "fields",
    [
        {"tls": True},
        {"tls": {"cert": "a"}},
        {"trusted_proxies": "10.0.0.1"},
        {"trusted_proxies": ["*"]},
        {"trusted_proxies": ["10.0.0.1/8"]},
        {"mqtt": "host"},
    ],
)
def test_settings_that_make_no_sense_are_told(tmp_path, fields):
    with pytest.raises(ConfigError):
        with_fields(tmp_path, **fields)


# Behind a reverse proxy that ends TLS


FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7", "Host": "big.example"}


def test_a_trusted_proxy_says_how_the_browser_reaches_it(start, tmp_path):
    server = start(tmp_path, trusted_proxies=("127.0.0.0/8",))
    response = server.client.get("/", params={"key": server.api_key}, headers=FORWARDED)
    cookie = response.headers["Set-Cookie"]
    assert "Secure" in cookie and cookie.startswith("__Host-")
    headers = FORWARDED | {"Cookie": cookie.split(";")[0]}
    assert "curl https://big.example/api" in server.client.get("/", headers=headers).text
    keys = server.client.get("/keys", headers=headers).text
    form = {"form_token": re.search(r'form_token" value="(\w+)', keys).group(1), "action": "end"}
    for origin, status in (("https://big.example", 303), ("http://big.example", 403)):
        sent = headers | {"Origin": origin}
        assert server.client.post("/keys", data=form, headers=sent).status_code == status


def test_who_is_no_trusted_proxy_says_nothing_of_others(start, tmp_path):
    server = start(tmp_path)
    response = server.client.get("/", params={"key": server.api_key}, headers=FORWARDED)
    assert "Secure" not in response.headers["Set-Cookie"]
