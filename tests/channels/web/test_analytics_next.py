"""Segment's own browser client, unmodified, pointed at us with a browser key: its events arrive unchanged, once (console.C10)."""

import asyncio
import json

import pytest

from tests.support.peers import peer

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

LOAD = """
([key, host]) => {
  window.analytics = window.AnalyticsNext.AnalyticsBrowser.load(
    {writeKey: key, cdnSettings: {integrations: {"Segment.io": {apiKey: key, apiHost: host, protocol: "http"}}}},
    {integrations: {"Segment.io": {apiHost: host, protocol: "http"}}},
  );
}
"""


async def test_segments_browser_client_delivers_unchanged(web, visit) -> None:
    script = peer("analytics-next").read_text()
    web.site.pages["/"] = ("text/html", "<!doctype html><title>Shop</title><script src=/next.js></script>")
    web.site.pages["/next.js"] = ("text/javascript", script)
    web.site.policy = "script-src 'self'; connect-src " + web.at
    await visit.page.goto(web.site.origin)
    await visit.page.evaluate(LOAD, [web.key, web.at.removeprefix("http://") + "/v1"])
    visitor = await visit.page.evaluate("async () => (await analytics.user()).anonymousId()")
    await web.agree(visitor)
    await visit.page.evaluate(
        "() => Promise.all([analytics.track('Product Viewed', {sku: 'b1', price: 12.5, tags: ['a', 'ü']}), analytics.page('Shop', 'Home')])"
    )
    (seen,) = await web.until("Product Viewed")
    assert dict(seen.properties) == {"sku": "b1", "price": 12.5, "tags": ["a", "ü"]}
    sent = [json.loads(one.post_data) for one in visit.to("/v1/t")]
    assert [one["anonymousId"] for one in sent] == [visitor]
    # A repeat of the very request is known by its messageId.
    (first,) = visit.to("/v1/t")
    await visit.page.evaluate(
        "([url, body, type]) => fetch(url, {method: 'POST', body, headers: {'Content-Type': type}})",
        [first.url, first.post_data, first.headers["content-type"]],
    )
    await asyncio.sleep(0.2)
    assert len([one for one in await web.events() if one.name == "Product Viewed"]) == 1
    assert len([one for one in await web.events() if one.type == "page"]) == 1
