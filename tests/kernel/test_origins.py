"""Whether one of our own pages sent a request: what browsers say of themselves decides, and no answer that is not plain lets one through."""

import pytest

from kernel.origins import same_origin

OURS = "https://candor.example"


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({}, True),  # no browser: a mail program's one-click, which has its token
        ({"sec-fetch-site": "same-origin", "origin": OURS}, True),
        ({"sec-fetch-site": "none"}, True),  # the address bar
        ({"origin": "http://127.0.0.1:8460", "host": "127.0.0.1:8460"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site", "origin": OURS}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": f"{OURS}.evil.example"}, False),
        ({"origin": "http://candor.example"}, False),
        ({"origin": f"{OURS}:8443"}, False),
    ],
)
def test_only_our_own_pages_pass(headers: dict[str, str], ours: bool) -> None:
    assert same_origin({"host": "127.0.0.1:8460", **headers}, "http", OURS) is ours
