"""A real Firefox, headless, driven through WebDriver BiDi (built in; no geckodriver), that can reach loopback only.

``async with Firefox(preferences) as browser``: ``await browser.open(url)``, ``await browser.run("return 1 + 1")``.
"""

import asyncio
import itertools
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

from tests.support.needs import FIREFOX

_LISTENING = re.compile(r"WebDriver BiDi listening on (ws://127\.0\.0\.1:\d+)")
_QUIET: Mapping[str, Any] = {
    # Whatever it would like to fetch goes to a port where nobody listens.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.no_proxies_on": "127.0.0.1, localhost",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "http://127.0.0.1:9",
    "app.update.disabledForTesting": True,
    "app.normandy.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.healthreport.uploadEnabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "extensions.update.enabled": False,
    "alerts.useSystemBackend": False,  # a test machine has no desktop that could show one
    "remote.prefs.recommended": True,
}


class Firefox:
    def __init__(self, preferences: Mapping[str, Any]) -> None:
        self._preferences = {**_QUIET, **preferences}
        self._ids = itertools.count(1)
        self._context = ""

    async def __aenter__(self) -> Self:
        binary = FIREFOX
        assert binary is not None
        self._home = Path(tempfile.mkdtemp(prefix="candor-firefox-"))
        profile = self._home / "profile"
        profile.mkdir()
        words = "".join(f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in self._preferences.items())
        (profile / "user.js").write_text(words)
        environment = {**os.environ, "HOME": str(self._home), "MOZ_HEADLESS": "1", "XDG_RUNTIME_DIR": str(self._home)}
        self._process = await asyncio.create_subprocess_exec(
            binary, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            address = await asyncio.wait_for(self._listening(), 60)
            self._drain = asyncio.create_task(self._read_on())
            self._socket: ClientConnection = await connect(f"{address}/session", max_size=None, proxy=None)
            await self.ask("session.new", capabilities={})
            tree = await self.ask("browsingContext.getTree")
            self._context = tree["contexts"][0]["context"]
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._end()

    async def _end(self) -> None:
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        if (drain := getattr(self, "_drain", None)) is not None:
            await asyncio.gather(drain, return_exceptions=True)
        shutil.rmtree(self._home, ignore_errors=True)

    async def _listening(self) -> str:
        assert self._process.stderr is not None
        said = b""
        async for line in self._process.stderr:
            said += line
            if found := _LISTENING.search(line.decode(errors="replace")):
                return found[1]
        raise RuntimeError(said.decode(errors="replace")[-2000:])

    async def _read_on(self) -> None:
        assert self._process.stderr is not None
        async for _ in self._process.stderr:
            pass

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One BiDi command."""
        number = next(self._ids)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            said = json.loads(await asyncio.wait_for(self._socket.recv(), 60))
            if said.get("id") != number:
                continue
            if said["type"] != "success":
                raise AssertionError(f"{method}: {said.get('error')}: {said.get('message')}")
            return said["result"]

    async def open(self, url: str) -> None:
        """Go to a page and wait until it is there."""
        await self.ask("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def run(self, body: str) -> Any:
        """The JSON value that an async function with this body returns, run as if a person had clicked."""
        done = await self.ask(
            "script.evaluate",
            expression=f"(async () => {{ {body} }})().then((value) => JSON.stringify(value === undefined ? null : value))",
            target={"context": self._context},
            awaitPromise=True,
            userActivation=True,
        )
        if done["type"] == "exception":
            raise AssertionError(done["exceptionDetails"]["text"])
        return json.loads(done["result"]["value"])
