"""The service over a real socket: what it tells, what it refuses, and that nothing that is sent makes it fail."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pil

from guard import Guard
from guard.audit.erase import Why, erase_entries
from guard.errors import MissingExtra
from guard.gateway import app as gateway
from guard.gateway.errors import Refused
from guard.gateway.inspection import Provenance
from guard.gateway.limits import Limits, Rates, client_of
from guard.provenance import jumbf
from guard.provenance.inspector import Inspector
from guard.types import Image
from tests.pictures import encoded, scene
from tests.provenance import spread
from tests.provenance.test_fingerprint import LONG

KEY, MARK = 11, b"\x01\x9a\x33\x70\x5c\xe1"
LIMITS = Limits(per_minute=6000, burst=4000, body=2 << 20, seconds=1.0)


@dataclass
class Service:
    url: str
    g: Guard
    image: Image
    text: str

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return httpx.request(method, self.url + path, timeout=30, **options)


def served(inspector: Inspector, limits: Limits) -> Iterator[str]:
    routes = Provenance(inspector, limits, algorithm=spread.ALGORITHM).routes()
    config = uvicorn.Config(
        gateway.make_app(routes, hosts=["127.0.0.1"]),
        port=0,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    policy = {"name": "service", "version": "1", "checkers": {}}
    with Guard(policy, store=f"sqlite:///{folder / 'guard.db'}", home=folder / "home") as g:
        painter = g.wrap(spread.Marked({"draw": scene(1, (512, 512))}, {"draw": MARK}, KEY))
        image, said = painter("draw", id="secret-request").content, g.wrap(lambda _: LONG)("say")
        assert isinstance(image, Image)
        with Inspector.open(g.settings, detect=spread.Detector(KEY)) as inspector:
            for url in served(inspector, LIMITS):
                yield Service(url, g, image, said.stamp.manifest if said.stamp and said.stamp.manifest else "")


def stripped(image: Image) -> bytes:
    return encoded(Pil.open(io.BytesIO(image.data)).convert("RGB").resize((400, 400)), "JPEG", quality=70).data


# --- inspection ----------------------------------------------------------------------------------------------------------


def test_it_lives(service: Service) -> None:
    answer = service.ask("GET", "/healthz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_a_file_is_inspected_and_strangers_learn_classes_only(service: Service) -> None:
    for data, verdict in (
        (service.image.data, "trusted"),
        (stripped(service.image), "recovered"),
        (b"hello", "no_evidence"),
    ):
        answer = service.ask("POST", "/inspect", content=data)
        found = answer.json()
        assert (answer.status_code, found["verdict"]) == (200, verdict)
        assert answer.headers["cache-control"] == "no-store"
        for secret in ("secret-request", "likeness", "p_value", "details", MARK.hex()):
            assert secret not in answer.text
        if verdict == "recovered":
            assert (found["record"]["proved"], found["record"]["receipt"]["entry"]) == (True, found["record"]["entry"])


def test_a_text_may_come_with_its_manifest(service: Service) -> None:
    alone = service.ask("POST", "/inspect", json={"text": LONG + " more", "manifest": service.text}).json()
    assert (alone["verdict"], alone["reason"]) == ("contradicted", "tampered")
    assert service.ask("POST", "/inspect", json={"text": LONG, "manifest": service.text}).json()["verdict"] == "trusted"
    assert service.ask("POST", "/inspect", content=LONG.upper().encode()).json()["verdict"] == "probable"
    assert (
        service.ask("POST", "/inspect?search=false", content=LONG.upper().encode()).json()["verdict"] == "no_evidence"
    )


def test_strangers_cannot_find_out_by_guessing_what_was_asked_or_only_checked(service: Service) -> None:
    service.g.check("The patient is called Ann.")
    answers = [
        service.ask("POST", "/inspect", content=text).json() | {"digest": ""}
        for text in (b"nobody ever said this", b"say", b"The patient is called Ann.")
    ]
    assert answers[0] == answers[1] == answers[2]
    assert service.ask("POST", "/matches/byContent", content=b"say").json() == {"matches": []}


# --- soft bindings ---------------------------------------------------------------------------------------------------------


def test_a_mark_resolves_to_the_manifest_and_the_manifest_verifies_beside_a_stripped_copy(service: Service) -> None:
    import c2pa  # type: ignore[import-untyped]

    [named] = service.ask("GET", "/services/supportedAlgorithms").json()["watermarks"]
    value = {"alg": named["alg"], "value": base64.b64encode(MARK).decode()}
    wanted = {"matches": [{"manifestId": jumbf.active_label(service.image.data)}]}
    assert service.ask("POST", "/matches/byBinding", json=value).json() == wanted
    assert service.ask("GET", "/matches/byBinding", params=value).json() == wanted
    assert service.ask("POST", "/matches/byContent?maxResults=3", content=stripped(service.image)).json() == wanted
    answer = service.ask("GET", f"/manifests/{wanted['matches'][0]['manifestId']}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/c2pa")
    with c2pa.Reader("image/jpeg", io.BytesIO(stripped(service.image)), answer.content) as reader:
        results = reader.get_validation_results()["activeManifest"]
    assert "claimSignature.validated" in [it["code"] for it in results["success"]]
    assert "assertion.dataHash.mismatch" in [it["code"] for it in results["failure"]]


def test_what_is_unknown_or_copied_has_no_matches(service: Service) -> None:
    value = {"alg": spread.ALGORITHM, "value": base64.b64encode(bytes(6)).decode()}
    assert service.ask("POST", "/matches/byBinding", json=value).json() == {"matches": []}
    assert service.ask("POST", "/matches/byContent", content=encoded(scene(77)).data).json() == {"matches": []}
    forged = spread.embed(scene(33, (512, 512)), MARK, KEY).data
    assert service.ask("POST", "/inspect", content=forged).json()["reason"] == "transplanted"
    assert service.ask("POST", "/matches/byContent", content=forged).json() == {"matches": []}
    for name in ("urn:c2pa:none", "x" * 300, "%00", "..%2f..%2fetc"):
        assert service.ask("GET", f"/manifests/{name}").status_code == 404


def test_what_was_erased_is_served_no_more(service: Service) -> None:
    made = service.g.wrap(lambda _: encoded(scene(8, (256, 256))))("draw", id="erased")
    assert isinstance(made.content, Image)
    path = f"/manifests/{jumbf.active_label(made.content.data)}"
    assert service.ask("GET", path).status_code == 200
    erase_entries(service.g.ledger.log, Why("kim", "a letter asks"), request_id="erased")
    assert service.ask("GET", path).status_code == 404


# --- what is refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("POST", "/inspect", {"content": b""}, 400, "empty"),
        ("POST", "/inspect", {"content": b"x" * (LIMITS.body + 1)}, 413, "too_large"),
        ("POST", "/inspect", {"content": iter([b"x" * 99_999] * 30)}, 413, "too_large"),
        ("POST", "/inspect?search=maybe", {"content": b"x"}, 400, "malformed"),
        ("POST", "/inspect", {"json": {"text": 7}}, 400, "malformed"),
        ("POST", "/inspect", {"json": {"text": "x", "manifest": []}}, 400, "malformed"),
        ("POST", "/inspect", {"json": []}, 400, "malformed"),
        ("GET", "/inspect", {}, 405, "not_allowed"),
        ("GET", "/nothing", {}, 404, "not_found"),
        ("POST", "/matches/byBinding", {"json": {"alg": "other", "value": "AAAA"}}, 400, "unsupported"),
        ("POST", "/matches/byBinding", {"json": {"alg": spread.ALGORITHM, "value": "!"}}, 400, "malformed"),
        ("POST", "/matches/byBinding", {"json": {"alg": spread.ALGORITHM, "value": "AAAA"}}, 400, "malformed"),
        ("POST", "/matches/byBinding", {"content": b"{" * 70_000}, 413, "too_large"),
        ("POST", "/matches/byBinding", {"content": b"[" * 60_000}, 400, "malformed"),
        ("POST", "/matches/byContent?maxResults=0", {"content": b"x"}, 400, "malformed"),
    ],
)
def test_errors_are_json_and_say_what_to_do(
    service: Service, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    answer = service.ask(method, path, **options)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]


def test_a_body_that_does_not_arrive_is_not_waited_for(service: Service) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 10) as slow:
        slow.sendall(b"POST /inspect HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\nabc")
        assert b" 408 " in slow.recv(4096).split(b"\r\n")[0]


def test_another_host_name_is_not_answered(service: Service) -> None:
    assert service.ask("GET", "/healthz", headers={"host": "rebound.example"}).status_code == 400


@settings(max_examples=15)
@given(
    st.one_of(st.binary(max_size=400), st.text(max_size=200).map(lambda it: json.dumps({"text": it}).encode())),
    st.sampled_from(
        ["", "application/json", "image/png", "multipart/form-data; boundary=x", "application/json; charset=x"]
    ),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WAVE", b"GIF89a"]),
)
def test_no_body_makes_it_fail(service: Service, body: bytes, kind: str, head: bytes) -> None:
    for path in ("/inspect", "/matches/byContent", "/matches/byBinding"):
        answer = service.ask("POST", path, content=head + body, headers={"content-type": kind})
        assert answer.status_code in (200, 400)
        answer.json()


def test_each_client_has_its_own_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Inspector.open(_empty(tmp_path)) as inspector:
        for url in served(inspector, Limits(per_minute=1, burst=3)):
            codes = [httpx.post(f"{url}/inspect", content=b"hi").status_code for _ in range(5)]
            last = httpx.post(f"{url}/inspect", content=b"hi", headers={"x-forwarded-for": "10.0.0.9"})
            assert httpx.get(f"{url}/healthz").status_code == 200
    assert codes == [200, 200, 200, 429, 429]
    assert (last.status_code, last.json()["error"]["code"]) == (429, "too_many_requests")
    assert 0 < int(last.headers["retry-after"]) <= 61


def _empty(folder: Path) -> Any:
    from guard import settings as config

    return config.load(home=folder / "nothing")


def test_a_bucket_fills_again_and_clients_are_forgotten() -> None:
    now = [0.0]
    rates = Rates(Limits(per_minute=60, burst=2), lambda: now[0])
    for _ in range(2):
        rates.take("a")
    with pytest.raises(Refused) as refused:
        rates.take("a")
    assert (refused.value.status, refused.value.retry) == (429, 2)
    rates.take("b")
    now[0] += 1.5
    rates.take("a")
    for number in range(Rates.MOST + 5):
        rates.take(str(number))
    assert len(rates._buckets) == Rates.MOST


def test_a_client_is_an_address_and_of_ipv6_a_network() -> None:
    assert client_of({"client": ("192.0.2.7", 1)}) == "192.0.2.7"
    assert client_of({"client": ("2001:db8:1:2:3:4:5:6", 1)}) == client_of({"client": ("2001:db8:1:2::1", 1)})
    assert client_of({"client": ("2001:db8:1:3::1", 1)}) != client_of({"client": ("2001:db8:1:2::1", 1)})
    assert client_of({"client": None}) == "unknown"


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    with pytest.raises(MissingExtra, match="gateway"):
        gateway.make_app([])
