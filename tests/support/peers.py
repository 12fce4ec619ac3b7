"""Code that nobody here wrote, to test against: pinned npm packages in a cache folder outside the checkout.

`python -m tests.support.peers` installs them all (a machine that tests does so once); a test that needs one calls `peer(name)`, which
installs it when it can and skips the test with the reason when it cannot. `CANDOR_PEERS` names another folder.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support import needs


@dataclass(frozen=True)
class Peer:
    package: str
    version: str
    program: str  # inside its own folder

    @property
    def folder(self) -> Path:
        return home() / f"{self.package.replace('/', '+')}@{self.version}"


PEERS = {
    # Twilio's own OpenAPI documents, served: says which part of a body is not as they say.
    "prism": Peer("@stoplight/prism-cli", "5.14.2", "node_modules/.bin/prism"),
    # Segment's own client for servers, unmodified.
    "segment": Peer("@segment/analytics-node", "3.1.0", "node_modules/@segment/analytics-node/package.json"),
    # Segment's own client for browsers, unmodified.
    "analytics-next": Peer(
        "@segment/analytics-next", "1.84.3", "node_modules/@segment/analytics-next/dist/umd/index.js"
    ),
    # A push service that checks the VAPID signature and decrypts what it is sent.
    "web-push-testing": Peer("web-push-testing", "1.2.2", "node_modules/web-push-testing/src/bin/server.js"),
}


def home() -> Path:
    named = os.environ.get("CANDOR_PEERS")
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(cache_home) / "candor-peers"


def install(name: str) -> str | None:
    """Install it if it is not there; why not, when it cannot be."""
    wanted = PEERS[name]
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "apt-get install nodejs npm, then python -m tests.support.peers"
    wanted.folder.parent.mkdir(parents=True, exist_ok=True)
    with wanted.folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test workers ask at the same time
        if (wanted.folder / wanted.program).exists():
            return None
        command = [npm, "install", "--prefix", str(wanted.folder), "--no-audit", "--no-fund", "--no-save",
                   "--fetch-retries=1", "--fetch-timeout=20000", f"{wanted.package}@{wanted.version}"]  # fmt: skip
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=240)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return f"python -m tests.support.peers, with a network (npm could not install {wanted.package}@{wanted.version})"
    return None


@cache
def _reason(name: str) -> str | None:
    return install(name)


def peer(name: str) -> Path:
    """Its program; skips the test, saying why, where there is none."""
    if (reason := _reason(name)) is not None:
        needs.lacking(PEERS[name].package, reason)
    return PEERS[name].folder / PEERS[name].program


if __name__ == "__main__":
    for one, wanted in PEERS.items():
        sys.stdout.write(f"{one}: {install(one) or wanted.folder}\n")
    sys.exit(0)
