"""What `candor bench erasure` shows: people of the demo world are erased, and nothing of them is left in any byte.

Enters: how many people live in the world, how many are erased. Leaves: a ``Report`` with its bars. The world is walked once in this process and once
by Dagster, with every log at its most talkative, faulty calls and a scrape of the metrics in files; then everything is searched byte by byte: Postgres with its
write-ahead log, the hot store's log, Parquet, Dagster's storage, logs, outbox, receipts, a dump. Nothing of your installation is touched.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx

from audit.access.principal import Scope
from audit.receipt import verify_file
from kernel import log
from kernel.engines import EmbeddedPostgres
from kernel.engines.postgres import APP, DATABASE, OWNER
from kernel.ids import KeyId
from kernel.kernel import open_at
from orchestration.decision.request import Decision
from orchestration.demo import chosen, story, traces
from orchestration.demo.chosen import Chosen
from orchestration.demo.world import make
from orchestration.service import rotation
from orchestration.service.app import create_app
from orchestration.service.bench import erasure_store as store
from orchestration.service.bench.figures import Bar
from orchestration.service.bench.harness import BenchFailed, Rig, rig
from orchestration.wiring import House, build

SHOP: Final = {"consent": {"controller": "Meadow & Mill"}, "channels": {"sender_name": "Meadow & Mill"}}
AGAIN: Final = "candor_again"
_DAGSTER_SECONDS: Final = 900

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Look:
    """One search: what for, when, how much was read, and the files by store that held one."""

    what: str
    when: str
    needles: int
    found: traces.Found
    hot: traces.Found

    @property
    def hits(self) -> dict[str, int]:
        """Files (and keys of the hot store) by store."""
        return {**self.found.hits, **self.hot.hits}


@dataclass(frozen=True, slots=True)
class Report:
    """All figures, and the bars they are held to."""

    people: int
    erased: int
    words: int
    keys: int
    living_keys: int
    looks: Sequence[Look]
    removal_seconds: float
    removal_moved: int
    removal_log: str
    receipts: int
    receipts_valid: int
    log_entries: int
    log_redacted: int
    log_findings: int
    dump_brought_back: int
    erased_again: int
    dagster: bool
    seconds: float
    bars: Sequence[Bar]


async def run(*, people: int, erased: int, seed: int = 7, dagster: bool = True, told: Told = lambda _: None) -> Report:
    """Make the world, erase, search."""
    began = time.monotonic()
    async with rig(**SHOP) as bench:
        logs = bench.settings.kernel.data_dir / "logs"
        logs.mkdir()
        terminal = sys.stderr

        def say(words: str) -> None:
            with redirect_stderr(terminal):
                told(words)

        with (logs / "candor.log").open("w", encoding="utf-8") as sink, redirect_stderr(sink):
            log.configure("debug")
            return await _Bench(bench, people, erased, seed, logs, say, began, dagster=dagster).run()


class _Bench:
    def __init__(
        self, bench: Rig, people: int, erased: int, seed: int, logs: Path, told: Told, began: float, *, dagster: bool
    ) -> None:
        self.rig = bench
        self.people = people
        self.erased = erased
        self.seed = seed
        self.logs = logs
        self.told = told
        self.began = began
        self.dagster = dagster
        self.data = bench.settings.kernel.data_dir
        self.looks: list[Look] = []
        self.words: list[str] = []
        self.keys: list[bytes] = []

    async def run(self) -> Report:
        async with self.rig.house() as house:
            told = await story.tell(house, people=self.people, seed=self.seed, told=self.told)
            world = await asyncio.to_thread(make, self.people, self.seed, house.kernel.clock.now())
            if self.dagster:
                self.told("the same walk by Dagster")
                await asyncio.to_thread(self._dagster)
            got = {one.person for one in told.campaign.decisions if one.delivery_id is not None}
            hers = await chosen.fitting(house, world, self.erased, got)
            if len(hers) < self.erased:
                raise BenchFailed(f"expected {self.erased} people who fit, got {len(hers)}; take more --people")
            people = {one.person for one in hers}
            self.words = sorted({word for one in hers for word in one.words})
            await self._talk(house, hers)
            receipts = await self._receipts(house, [one for one in told.campaign.decisions if one.person in people])
            dump = await asyncio.to_thread(self._dump)
            before = await store.wrapped(house)
            await self._look(house, "her words", "before")
            self.told("erasing")
            for one in hers:
                await self._erase(house, one)
            left = await store.wrapped(house)
            gone = sorted(before.keys() - left.keys())
            self.keys = [before[key] for key in gone]
            await store.settle(house)
            await self._look(house, "wrapped keys", "erased, before the removal")
            self.told("removing the bytes of destroyed keys")
            start = time.monotonic()
            removed = await rotation.remove(house, actor="bench", told=None)
            took = time.monotonic() - start
            await store.settle(house)
            await self._look(house, "wrapped keys", "after")
            await self._look(house, "her words", "after")
            verified = [verify_file(file, key).trusted for file, key in receipts]
            checked = await house.audit.verify_log()
        back, again = await self._restore(dump, gone)
        return Report(
            people=self.people,
            erased=len(hers),
            words=len(self.words),
            keys=len(self.keys),
            living_keys=len(left),
            looks=self.looks,
            removal_seconds=round(took, 2),
            removal_moved=removed.moved,
            removal_log=str(removed.log),
            receipts=len(receipts),
            receipts_valid=sum(verified),
            log_entries=checked.size,
            log_redacted=checked.redacted,
            log_findings=len(checked.findings),
            dump_brought_back=back,
            erased_again=again,
            dagster=self.dagster,
            seconds=round(time.monotonic() - self.began, 1),
            bars=self._bars(len(receipts), sum(verified), len(checked.findings), len(hers), back, again),
        )

    def _bars(self, receipts: int, valid: int, findings: int, people: int, back: int, again: int) -> list[Bar]:
        first, erased, after, last = self.looks
        return [
            Bar("files with her words before, messages in the outbox aside", 0, sum(first.hits.values()) - first.hits.get("outbox", 0)),
            Bar("messages with her words in the outbox before: the search finds", people, first.hits.get("outbox", 0), least=True),
            Bar("files with her words after", 0, sum(last.hits.values())),
            Bar("files with a wrapped key of hers, erased and not yet removed: the search finds", 1, sum(erased.hits.values()), least=True),
            Bar("files with a wrapped key of hers after", 0, sum(after.hits.values())),
            Bar("old receipts that do not verify", 0, receipts - valid),
            Bar("findings in the log", 0, findings),
            Bar("people whom the dump brought back: it does", people, back, least=True),
            Bar("people whom the dump brought back and nobody erased again", 0, back - again),
        ]  # fmt: skip

    async def _look(self, house: House, what: str, when: str) -> None:
        self.told(f"searching every byte for {what}, {when}")
        words, keys = (self.words, []) if what == "her words" else ([], self.keys)
        found = await asyncio.to_thread(traces.search, [self.data], words, keys)
        hot = await traces.search_cache(house.kernel.cache, words, keys)
        self.looks.append(Look(what, when, len(words) + len(keys), found, hot))

    async def _talk(self, house: House, hers: Sequence[Chosen]) -> None:
        """Faulty calls with her words in every corner, their answers and the metrics, kept as files."""
        secret = (
            await house.access.create_key(
                [Scope.COLLECT, Scope.OFFICER, Scope.OPERATE, Scope.DECIDE], actor="bench", name="bench", source="shop"
            )
        ).secret
        transport = httpx.ASGITransport(app=create_app(house), raise_app_exceptions=False)
        said: list[str] = []
        base = house.kernel.settings.base_url
        async with httpx.AsyncClient(
            transport=transport, base_url=base, headers={"Authorization": f"Bearer {secret}"}
        ) as client:
            for one in hers:
                word = one.words[0]
                answers = [
                    await client.post("/v1/track", json={"userId": one.login, "event": {"no": word}, "email": word}),
                    await client.post("/v1/track", content=f'{{"userId": "{one.email}", "event": '),
                    await client.post(
                        "/v1/identify", json={"userId": one.login, "traits": {"email": [word], "birthday": one.email}}
                    ),
                    await client.post(
                        "/v1/decisions",
                        json={"person": f"email:{one.email}", "placement": word, "context": {"q": word}},
                    ),
                    await client.post("/v1/consents", json={"subject": f"email:{one.email}", "purpose": word}),
                    await client.get(f"/v1/people/email:{one.email}/nothing/{word}"),
                    await client.get(f"/why/{one.email}", params={"q": word}),
                ]
                said.extend(f"{answer.status_code} {answer.text}" for answer in answers)
            said.append((await client.get("/metrics")).text)
        (self.logs / "answers.txt").write_text("\n".join(said), encoding="utf-8")

    async def _receipts(self, house: House, decisions: Sequence[Decision]) -> list[tuple[Path, str]]:
        folder = self.data / "receipts"
        folder.mkdir(exist_ok=True)
        await house.audit.sequence()
        key = (await house.audit.verifier_keys())[-1].text
        made = []
        for decision_id in sorted({one.decision_id for one in decisions}):
            file = folder / f"{decision_id}.json"
            file.write_text((await house.receipt(decision_id)).text, encoding="utf-8")
            made.append((file, key))
        return made

    async def _erase(self, house: House, one: Chosen) -> None:
        request = await house.rights.open("erasure", one.person, actor="staff:ann")
        await house.rights.approve(request.id, actor="staff:ben")
        await house.rights.run(request.id, actor="staff:ben")

    def _dagster(self) -> None:
        """The whole graph through Dagster itself, its storage and its logs beside the house's."""
        home = self.data / "dagster"
        home.mkdir()
        environment = self.rig.environment(
            DAGSTER_HOME=str(home), HOME=str(home), DAGSTER_TELEMETRY_ENABLED="false", CANDOR_KERNEL__LOG_LEVEL="debug"
        )
        words = [
            sys.executable,
            "-m",
            "dagster",
            "job",
            "execute",
            "-m",
            "orchestration.pipeline.definitions",
            "-j",
            "whole_graph",
        ]
        with (self.logs / "dagster.log").open("wb") as sink:
            done = subprocess.run(  # noqa: S603 - our own words
                words, env=environment, cwd=home, stdout=sink, stderr=sink, check=False, timeout=_DAGSTER_SECONDS
            )
        if done.returncode != 0:
            raise BenchFailed(f"expected Dagster to end the walk, got exit code {done.returncode}")

    @property
    def _postgres(self) -> EmbeddedPostgres:
        assert self.rig.engines.postgres is not None, "a rig has engines of its own"
        return self.rig.engines.postgres

    def _dump(self) -> Path:
        """A dump of the data as a company keeps it: plain text, so that the search can read it."""
        file = self.data / "backup" / "before.sql"
        file.parent.mkdir()
        self._tool("pg_dump", "--no-owner", "-f", str(file), "-d", self._postgres.url(DATABASE, "postgres"))
        return file

    async def _restore(self, dump: Path, gone: Sequence[KeyId]) -> tuple[int, int]:
        """The dump in a database of its own, a house over it: how many came back, how many were erased again."""
        self.told("restoring the dump from before")
        await asyncio.to_thread(self._bring_back, dump)
        addresses = self.rig.engines.addresses()
        other = replace(addresses, database=self._postgres.url(AGAIN, APP), owner=self._postgres.url(AGAIN, OWNER))
        async with open_at(self.rig.settings.kernel, other) as kernel:
            house = build(self.rig.settings, kernel)
            back = await house.rights.came_back()
            again = await house.rights.replay()
            assert not await kernel.vault.unwrap(gone), "a destroyed key opens nothing in any copy"
            await house.events.close()
            await house.decisions.close()
            await house.channels.close()
        return len(back), len(again)

    def _bring_back(self, dump: Path) -> None:
        self._postgres.add_database(AGAIN)
        self._tool("psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(dump), "-d", self._postgres.url(AGAIN, "postgres"))

    def _tool(self, name: str, *words: str) -> None:
        done = subprocess.run(  # noqa: S603 - the wheel's own binary
            [str(self._postgres.binaries / name), *words], capture_output=True, check=False, timeout=600
        )
        if done.returncode != 0:
            raise BenchFailed(f"expected {name} to end, got exit code {done.returncode}")
