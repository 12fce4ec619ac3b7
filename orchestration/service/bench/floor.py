"""The bare floor (decision.D1): a FastAPI route with one cache GET, one model call on 50 rows and one commit. What is left when Candor is taken away.

Enters: addresses and a model file as words of the command line. Leaves: a server on a free port of loopback, which says where. It decides nothing and proves
nothing; a benchmark prints it beside the real thing, under the same load, to tell the product's cost from the machine's.
"""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from orchestration.learning.gbm import GbmModel
from orchestration.service.bench.store import Floor

ROWS: Final = 50
SAID: Final = "the floor is at "
_KEY: Final = "bench:floor"


class Asked(BaseModel):
    """The same body as a decision's."""

    person: str
    placement: str


def app(floor: Floor, model: GbmModel) -> FastAPI:
    """The whole floor."""
    table = np.random.default_rng(7).gamma(1.5, 2.0, (ROWS, len(model.feature_names)))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await floor.open(_KEY, json.dumps({"features": [0.5] * table.shape[1]}).encode())
        try:
            yield
        finally:
            await floor.close()

    made = FastAPI(lifespan=lifespan, openapi_url=None)

    @made.post("/floor")
    async def floor_(body: Asked) -> dict[str, Any]:
        held = json.loads(await floor.get(_KEY) or b"{}")
        scores = model.score(table)
        best = int(scores.argmax())
        number = await floor.commit(float(scores[best]))
        return {"person": body.person, "choice": best, "id": number, "known": len(held)}

    return made


def main() -> None:
    """`python -m orchestration.service.bench.floor DATABASE_URL REDIS_URL MODEL_FILE`."""
    database, redis, file = sys.argv[1:4]
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(2048)
    made = app(Floor(database, redis), GbmModel(Path(file).read_bytes()))
    server = uvicorn.Server(uvicorn.Config(made, log_config=None, access_log=False, loop="uvloop", http="httptools"))
    sys.stdout.write(f"{SAID}http://127.0.0.1:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    with asyncio.Runner(loop_factory=uvicorn.Config(made, loop="uvloop").get_loop_factory()) as runner:
        runner.run(server.serve([listening]))


if __name__ == "__main__":
    main()
