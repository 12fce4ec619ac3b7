"""A push that we encrypted is shown by a real browser: subscribed on a shop's page, decided, sent, decrypted, shown, reported."""

import json
import time
from pathlib import Path

import pytest

from kernel.clock import Clock, SystemClock
from kernel.kernel import Kernel
from kernel.settings import KernelSettings
from tests.channels.push.served import free_port, lets_us_see, serving
from tests.support.engines import RunEngines
from tests.support.firefox import Firefox
from tests.support.needs import FIREFOX, NO_FIREFOX

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.browser,
    pytest.mark.skipif(FIREFOX is None, reason=NO_FIREFOX),
]

SHOWN = """
    const worker = await navigator.serviceWorker.ready;
    for (let turn = 0; turn < 1500; turn++) {
        const shown = await worker.getNotifications();
        if (shown.length) return shown.map((one) => ({title: one.title, body: one.body, tag: one.tag, data: one.data}));
        await new Promise((wake) => setTimeout(wake, 20));
    }
    return [];
"""


@pytest.fixture
def clock() -> Clock:
    return SystemClock()


@pytest.fixture
def kernel_settings(engines: RunEngines, tmp_path: Path) -> KernelSettings:
    port = free_port()
    return KernelSettings(
        data_dir=tmp_path / "candor",
        kek_file=engines.key_file,
        pool_size=8,
        port=port,
        base_url=f"http://127.0.0.1:{port}",
    )


async def test_a_push_is_shown_and_reported_and_nothing_leaves_after_the_no(kernel: Kernel) -> None:
    async with serving(kernel) as served:
        preferences = {
            "dom.push.serverURL": served.service.websocket,
            "dom.push.testing.allowInsecureServerURL": True,
            "dom.push.connection.enabled": True,
            "permissions.default.desktop-notification": 1,
        }
        async with Firefox(preferences) as browser:
            await browser.open(served.site.origin)
            options = json.dumps(served.options)
            began = time.perf_counter()
            told = await browser.run(f"return candorPush.subscribe({options})")
            assert told["status"] == "subscribed", told
            await lets_us_see(served.house, served.visitor)
            asked = time.perf_counter()
            sent = await served.send()
            assert "delivery_id" in sent, sent
            (shown,) = await browser.run(SHOWN)
            took, after = time.perf_counter() - began, time.perf_counter() - asked
            print(f"subscribe to shown: {took:.2f} s, send to shown: {after:.2f} s")  # noqa: T201 - a figure, seen with -s
            assert (shown["title"], shown["body"]) == (
                "The garden is open",
                "Come and see the roses.\nAdvertisement on behalf of Blue Shop",
            )
            said = shown["data"]
            assert said["decision_id"] == sent["decision_id"]
            assert kernel.tokens.read(said["why_url"].rsplit("/", 1)[1], "why").subject == sent["decision_id"]
            assert (await served.client.get(said["why_url"])).status_code == 200
            assert served.service.acks == [(served.service.acks[0][0], 100)]  # the browser could decrypt it
            assert (await served.client.get(said["preferences_url"])).status_code == 200
            await served.reaches(sent["delivery_id"], "delivered")  # the browser's own report

            again = await browser.run(f"return candorPush.refresh({options})")
            assert again == told

            old = await served.house.channels.push.keyring.current()
            await served.house.channels.push.keyring.rotate(actor="staff:ann")
            moved = await browser.run(f"return candorPush.refresh({options})")  # her next visit
            assert (moved["status"], moved["contact"] != told["contact"]) == ("subscribed", True)
            await served.house.channels.push.keyring.retire(old.vapid_id, actor="staff:ann")  # nobody is left under it
            second = await served.send()
            await served.reaches(second["delivery_id"], "delivered")

            done = await browser.run(f"return candorPush.unsubscribe({{...{options}, withdraw: true}})")
            assert done == {"status": "unsubscribed"}
            assert "withheld" in await served.send()
            assert len(served.service.posted) == 2
