"""The room with a purpose that needs confirming, a post box for its letters, and somebody who signs up."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from consent import endpoints
from consent.confirming import Letter
from kernel.db import Conn
from kernel.errors import CandorError
from kernel.kernel import Kernel
from tests.consent.conftest import House, OfficerOnly, build, problem

OWN = "version: shop-1\ndouble_opt_in: {marketing.email: [email]}\npurposes: []\n"


@dataclass
class PostBox:
    """What was queued; `full`: nothing more can be."""

    letters: list[Letter] = field(default_factory=list)
    full: bool = False

    async def post(self, conn: Conn, letter: Letter) -> bool:
        if not self.full:
            self.letters.append(letter)
        return not self.full

    @property
    def link(self) -> str:
        """The path of the newest letter's page."""
        return "/confirm/" + self.letters[-1].url.partition("/confirm/")[2]


@pytest.fixture
def box() -> PostBox:
    return PostBox()


@pytest.fixture
def house(kernel: Kernel, box: PostBox, tmp_path: Path) -> House:
    file = tmp_path / "purposes.yaml"
    file.write_text(OWN)
    made = build(kernel, controller="Blue Shop", purposes_file=file)
    made.consent.confirmations.post = box.post
    return made


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.state.house = replace(house, access=OfficerOnly())
    app.include_router(endpoints.router)
    app.add_exception_handler(CandorError, problem)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8460") as found:
        yield found


async def sign_up(client: httpx.AsyncClient, **more: object) -> httpx.Response:
    """A form of the shop takes an address."""
    body = {
        "subject": "email:ada@example.org", "purpose": "marketing.email", "status": "granted", "mechanism": "form",
        "notice_text": "May we send you offers by email?", "notice_version": "form-1",
    }  # fmt: skip
    return await client.post("/v1/consents", json=body | more, headers={"Authorization": "Bearer officer"})


async def person_of(house: House, contact: str = "email:ada@example.org") -> str:
    async with house.kernel.db.reading() as conn:
        return await house.identity.lookup(conn, contact)


async def history(house: House, contact: str = "email:ada@example.org") -> list:
    async with house.kernel.db.reading() as conn:
        return await house.consent.history(conn, await house.identity.lookup(conn, contact))
