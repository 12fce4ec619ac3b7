"""Two providers on this machine: one that takes mail as SendGrid's v3 does, one that takes pushes as RFC 8030 says.

Usage: python peers.py FOLDER. Writes FOLDER/peers.json with both addresses once they listen, and FOLDER/peers.taken.json with what was taken, by what it was,
after every message. Both refuse what the real ones refuse: a missing key, a body that is no mail, a push that is not encrypted or not signed.
"""

import json
import sys
import threading
import uuid
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TAKEN: Counter[str] = Counter()
LOCK = threading.Lock()


class Peer(BaseHTTPRequestHandler):
    """What both have in common."""

    protocol_version = "HTTP/1.1"
    folder = Path()

    def answer(self, status: int, word: str, **headers: str) -> None:
        """Say it, and keep count."""
        with LOCK:
            TAKEN[word] += 1
            half = self.folder / "peers.taken.half"
            half.write_text(json.dumps(TAKEN))
            half.replace(self.folder / "peers.taken.json")
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def body(self) -> bytes:
        """What was posted."""
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def log_message(self, *_: object) -> None:
        """Silence: addresses are in the lines."""


class Mail(Peer):
    """POST /v3/mail/send."""

    def do_POST(self) -> None:
        """202 with a message id, or what is wrong."""
        raw = self.body()
        if not self.headers.get("Authorization", "").startswith("Bearer "):
            return self.answer(401, "mail without a key")
        try:
            said = json.loads(raw)
            right = (
                self.path == "/v3/mail/send"
                and said["personalizations"][0]["to"]
                and said["from"]["email"]
                and said["content"]
            )
        except (ValueError, KeyError, IndexError, TypeError):
            right = False
        if not right:
            return self.answer(400, "no mail")
        return self.answer(202, "mail taken", X_Message_Id=uuid.uuid4().hex)


class Push(Peer):
    """POST to a subscription's endpoint."""

    def do_POST(self) -> None:
        """201, or what is wrong."""
        raw = self.body()
        signed = self.headers.get("Authorization", "").startswith("vapid ")
        sealed = self.headers.get("Content-Encoding") == "aes128gcm" and len(raw) > 86
        if not signed or not sealed or not self.headers.get("TTL"):
            return self.answer(400, "no push")
        return self.answer(201, "push taken", Location=f"/message/{uuid.uuid4().hex}")


def main(folder: Path) -> None:
    """Listen until the process is ended."""
    Peer.folder = folder
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), kind) for kind in (Mail, Push)]
    for one in servers:
        one.daemon_threads = True
        threading.Thread(target=one.serve_forever, daemon=True).start()
    mail, push = (f"http://127.0.0.1:{one.server_address[1]}" for one in servers)
    (folder / "peers.half").write_text(json.dumps({"mail": mail, "push": push}))
    (folder / "peers.half").replace(folder / "peers.json")
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
