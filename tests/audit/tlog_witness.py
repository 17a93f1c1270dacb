"""A small tlog-witness on this machine, written from the specification: add-checkpoint, and the monitoring prefix."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from guard.audit.merkle import verify_consistency
from guard.errors import ProofError
from tests.audit.loopback import Quiet, listening

NOW = 1_700_000_000


class TlogWitness:
    """Its state: logs it knows (origin to public key and key id), and what it signed last."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.name = "witness.example/w1"
        public = self.key.public_key().public_bytes_raw()
        self.id = hashlib.sha256(self.name.encode() + b"\n\x04" + public).digest()[:4]
        self.vkey = f"{self.name}+{self.id.hex()}+" + base64.b64encode(b"\x04" + public).decode()
        self.logs: dict[str, tuple[Ed25519PublicKey, bytes]] = {}
        self.signed: dict[str, tuple[int, bytes, str]] = {}
        self.requests: list[tuple[str, str]] = []
        self.answer: tuple[int, bytes] | None = None  # instead of its own, for tests of bad witnesses
        self.lock = threading.Lock()
        self.url = ""

    def know(self, vkey: str) -> None:
        origin, key_id, encoded = vkey.split("+", 2)
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:])
        self.logs[origin] = (public, bytes.fromhex(key_id))

    def add_checkpoint(self, body: str) -> tuple[int, bytes]:
        head, _, note = body.partition("\n\n")
        first, *proof = head.split("\n")
        old = int(first.removeprefix("old "))
        text, _, lines = note.rpartition("\n\n")
        text += "\n"
        origin, size_line, root_line = text.split("\n")[:3]
        if origin not in self.logs:
            return 404, b""
        if not self._signed_by_log(origin, text, lines):
            return 403, b""
        size, root = int(size_line), base64.b64decode(root_line)
        if old > size or len(proof) > 63:
            return 400, b""
        with self.lock:
            last_size, last_root, _ = self.signed.get(origin, (0, hashlib.sha256(b"").digest(), ""))
            if old != last_size:
                return 409, f"{last_size}\n".encode()
            if size == 0 and root != hashlib.sha256(b"").digest():
                return 422, b""
            if old == 0:
                if proof:
                    return 422, b""
            else:
                try:
                    verify_consistency(old, size, [base64.b64decode(line) for line in proof], last_root, root)
                except ProofError:
                    return 422, b""
            line = self.cosign(text)
            self.signed[origin] = (size, root, note + line)
        stranger = "\u2014 other.example/w2 " + base64.b64encode(bytes(76)).decode() + "\n"
        return 200, (stranger + line).encode()

    def _signed_by_log(self, origin: str, text: str, lines: str) -> bool:
        public, key_id = self.logs[origin]
        for line in lines.split("\n")[:-1]:
            _, name, encoded = line.split(" ")
            data = base64.b64decode(encoded)
            if name == origin and data[:4] == key_id:
                try:
                    public.verify(data[4:], text.encode())
                except InvalidSignature:
                    return False
                return True
        return False

    def cosign(self, text: str, seconds: int = NOW) -> str:
        signature = self.key.sign(f"cosignature/v1\ntime {seconds}\n{text}".encode())
        data = self.id + seconds.to_bytes(8, "big") + signature
        return f"\u2014 {self.name} {base64.b64encode(data).decode()}\n"


@contextmanager
def serving(witness: TlogWitness) -> Iterator[TlogWitness]:
    """The witness on a free port of the loopback interface."""

    class Handler(Quiet):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            assert self.path == "/prefix/add-checkpoint"
            self._answer("POST", body, *(witness.answer or witness.add_checkpoint(body)))

        def do_GET(self) -> None:
            found = [
                note
                for origin, (_, _, note) in witness.signed.items()
                if self.path == f"/prefix/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint"
            ]
            self._answer("GET", "", *((200, found[0].encode()) if found else (404, b"")))

        def _answer(self, method: str, body: str, status: int, answer: bytes) -> None:
            witness.requests.append((method, body))
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    with listening(Handler) as url:
        witness.url = f"{url}/prefix"
        yield witness
