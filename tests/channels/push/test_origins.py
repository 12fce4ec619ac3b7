"""An endpoint is a stranger's input: which may be written to, by name and by address."""

import asyncio
import socket
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.push import origins, outward
from channels.push.errors import BadSubscription
from channels.push.origins import ForbiddenAddress, Origins, public, resolve
from channels.push.outward import Nothing, Outward
from channels.push.settings import PushSettings
from channels.push.subscription import checked, read_address
from tests.support.push_receiver import Receiver
from tests.support.push_service import PushService

SHIPPED = Origins(PushSettings().origins, ())


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/abc:def",
        "https://updates.push.services.mozilla.com/wpush/v2/gAAAA",
        "https://updates-autopush.prod.push.services.mozilla.com/x",
        "https://db5p.notify.windows.com/w/?token=BQYAAA%3d",
        "https://web.push.apple.com/QAbc",
        "https://FCM.googleapis.com/fcm/send/abc",
    ],
)
def test_the_push_services_of_browsers_are_known(endpoint: str) -> None:
    place = SHIPPED.place(endpoint)
    assert place is not None
    assert (place.port, place.private) == (443, False)
    assert place.origin == place.origin.lower()


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/x",
        "https://fcm.googleapis.com.attacker.example/x",
        "https://attacker.example/https://fcm.googleapis.com/x",
        "https://fcm.googleapis.com@attacker.example/x",
        "https://user@fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://notify.windows.com.evil/x",
        "https://evilnotify.windows.com/x",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://localhost/x",
        "https://0x7f000001/x",
        "ftp://fcm.googleapis.com/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://fcm.googleapis.com/x#y",
        "//fcm.googleapis.com/x",
        "",
    ],
)
def test_nothing_else_is_written_to(endpoint: str) -> None:
    assert SHIPPED.place(endpoint) is None


def test_an_own_push_service_is_named_to_the_letter_and_plain_on_loopback_only() -> None:
    own = Origins((), ("http://127.0.0.1:9000", "https://push.intern.example", "http://push.intern.example"))
    assert own.place("http://127.0.0.1:9000/x").private
    assert own.place("https://push.intern.example/x").private
    assert own.place("http://127.0.0.1:9001/x") is None
    assert own.place("http://push.intern.example/x") is None
    assert own.place("https://other.intern.example/x") is None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
        "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:0:5ef5:79fd:0:59d:a0e5:ba1", "192.0.2.1",
    ],
)  # fmt: skip
def test_no_address_of_our_own_network_is_public_however_it_is_wrapped(address: str) -> None:
    assert not public(ip_address(address))


@pytest.mark.parametrize("address", ["142.250.74.202", "2a00:1450:4001:82b::200a", "64:ff9b::8efa:4aca"])
def test_a_public_address_is_public(address: str) -> None:
    assert public(ip_address(address))


@pytest.mark.anyio
@pytest.mark.parametrize("other", ["127.0.0.1", "169.254.169.254", "::1"])
async def test_a_name_that_also_leads_inside_is_refused_whole(monkeypatch, other: str) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in ("142.250.74.202", other)]

    class Loop:
        async def getaddrinfo(self, *args, **kwargs):
            return answers

    monkeypatch.setattr(origins.asyncio, "get_running_loop", Loop)
    place = SHIPPED.place("https://fcm.googleapis.com/x")
    with pytest.raises(ForbiddenAddress):
        await resolve(place)
    out = Outward()
    said = await out.post(place, {}, b"", seconds=1)
    assert said == Nothing("forbidden_address", final=True)


@pytest.mark.anyio
async def test_a_name_that_is_not_found_in_time_has_cost_nothing(monkeypatch) -> None:
    """No byte left, so the message may be tried again: it is not uncertain."""

    async def never(place: object) -> list[str]:
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr(outward, "resolve", never)
    said = await Outward().post(SHIPPED.place("https://fcm.googleapis.com/x"), {}, b"", seconds=0.03)
    assert said == Nothing("unknown_host")


@pytest.mark.anyio
async def test_the_connection_goes_to_the_address_that_was_judged(anyio_backend) -> None:
    """The name is resolved once: the request names the host, the connection its first answer."""
    async with PushService() as service:
        port = service.origin.rsplit(":", 1)[1]
        place = Origins((), (f"http://localhost:{port}",)).place(f"http://localhost:{port}/push/a?b=c")
        out = Outward()
        said = await out.post(place, {"TTL": "1"}, b"x", seconds=3)
        await out.close()
        assert said.status == 201
        (posted,) = service.posted
        assert (posted.headers["host"], posted.path) == (f"localhost:{port}", "/push/a?b=c")


@given(st.text(max_size=60))
def test_whatever_a_stranger_calls_an_endpoint_is_judged_without_an_accident(endpoint: str) -> None:
    assert SHIPPED.place(endpoint) is None
    good = Receiver("https://fcm.googleapis.com/x").subscription
    with pytest.raises(BadSubscription):
        checked(endpoint, good.p256dh, good.auth)
    assert read_address(endpoint) is None


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [
        ("", ""),
        ("AAAA", "AAAA"),
        ("B" * 87, "AAAAAAAAAAAAAAAAAAAAAA"),
        (None, "AAAA"),
        (None, "!" * 22),
        ("é" * 87, "AAAAAAAAAAAAAAAAAAAAAA"),
    ],
)
def test_keys_that_are_none_are_refused(p256dh: str | None, auth: str) -> None:
    good = Receiver("https://fcm.googleapis.com/x").subscription
    with pytest.raises(BadSubscription) as refused:
        checked(good.endpoint, good.p256dh if p256dh is None else p256dh, auth)
    assert "fcm" not in refused.value.message
