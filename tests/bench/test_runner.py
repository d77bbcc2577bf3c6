"""What becomes of jobs whose servers go away, come back, or fail."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web
from comfys import DONE, FAILED, HUNG, REFUSED, Comfy, drive, works

from fvg_core.bench.progress import Progress
from fvg_core.bench.prompt_list import Entry
from fvg_core.bench.runner import MOST_LOSSES, Patience, Runner, _said
from fvg_core.bench.servers import Server
from fvg_core.bench.store import Store
from fvg_core.bench.template import Work
from fvg_core.errors import BatchError, HostError


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers are looked for, and jobs asked for, without pauses."""
    for name in ("FIRST_PAUSE_S", "LONGEST_PAUSE_S", "SILENCE_S"):
        monkeypatch.setattr(f"fvg_core.bench.servers.{name}", 0.05)


class Fragile:
    """Answers as an idle ComfyUI, ends with each job, and comes back at another address."""

    def __init__(self) -> None:
        self.urls: list[str] = []

    async def __aenter__(self) -> Fragile:
        app = web.Application()
        app.router.add_get("/system_stats", self.stats)
        app.router.add_get("/history", self.nothing)
        app.router.add_get("/queue", self.queue)
        app.router.add_post("/prompt", self.end)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.runner.cleanup()

    async def start(self) -> None:
        self.site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await self.site.start()
        self.urls.append(f"http://127.0.0.1:{self.runner.addresses[-1][1]}")

    async def stats(self, request: web.Request) -> web.Response:
        return web.json_response({"system": {"comfyui_version": "0.30.0"}})

    async def nothing(self, request: web.Request) -> web.Response:
        return web.json_response({})

    async def queue(self, request: web.Request) -> web.Response:
        return web.json_response({"queue_running": [], "queue_pending": []})

    async def end(self, request: web.Request) -> web.Response:
        former = self.site
        await self.start()
        await former.stop()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    def where(self, name: str) -> str:
        assert name == self.urls[0]
        return self.urls[-1]


def test_a_job_that_ends_every_server_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Also where each start has an address of its own, as on a cluster."""
    monkeypatch.setattr("fvg_core.bench.servers.FIRST_PAUSE_S", 0.01)

    async def drive() -> set[str]:
        async with Fragile() as fragile:
            server = Server(fragile.urls[0] + "/", store.id, where=fragile.where)
            async with server.remote:
                await server.greet()
                with Progress(1, "videos") as report:
                    runner = Runner(iter([work]), [server], store, report, Patience())
                    await asyncio.wait_for(runner.run(), 20)
            assert len(set(fragile.urls)) == 1 + MOST_LOSSES + 1
            assert (server.name, server.url) == (fragile.urls[0], fragile.urls[-1])
        return runner.aside

    work = Work("a" * 64, Entry("a circle", 1), None, {}, None)
    with Store(tmp_path) as store:
        assert asyncio.run(drive()) == {work.key}
    (line,) = map(json.loads, store.failed.read_text().splitlines())
    assert line["error"] == f"It was lost {MOST_LOSSES + 1} times, each time with its server."


@pytest.mark.usefixtures("quick")
def test_a_batch_waits_from_the_moment_when_its_last_server_went_away(tmp_path: Path):
    """Another was away all the time."""
    comfy, dead = Comfy(lambda number: HUNG), Comfy()
    dead.away = True

    async def restart() -> None:
        await asyncio.sleep(2)
        comfy.away = True
        await asyncio.sleep(1.5)
        comfy.away = False
        comfy.end(comfy.running.pop(), None)

    assert drive(tmp_path, 1, comfy, dead, patience=Patience(gone_s=3), meanwhile=restart) == (1, 0)


@pytest.mark.usefixtures("quick")
def test_a_batch_ends_where_all_servers_stay_away(tmp_path: Path):
    dead = Comfy(), Comfy()
    for comfy in dead:
        comfy.away = True
    with pytest.raises(BatchError, match="No server answered and was in order for"):
        drive(tmp_path, 1, *dead, patience=Patience(gone_s=0.5))


@pytest.mark.parametrize("fate", [REFUSED, FAILED])
def test_a_server_where_all_fails_does_not_empty_the_list(tmp_path: Path, fate: str):
    """It is always free, so it would take every job and every retry."""
    sick, good = Comfy(lambda number: fate), Comfy(takes_s=0.02)
    patience = Patience(backoff_s=0.01)
    assert drive(tmp_path, 60, sick, good, patience=patience) == (60, 0)
    assert len(sick.tried) <= patience.sick_after + 1  # two are there at once


def test_what_fails_everywhere_is_tried_at_a_second_server_and_set_aside(tmp_path: Path):
    for fate in (REFUSED, FAILED):
        comfys = [Comfy(lambda number, fate=fate: fate if number == 3 else DONE) for _ in range(3)]
        patience = Patience(retries=0, backoff_s=0.01)
        assert drive(tmp_path / fate, 8, *comfys, patience=patience) == (7, 1)
        assert sum(comfy.tried.count(3) for comfy in comfys) == 2
        assert max(comfy.tried.count(3) for comfy in comfys) == 1


@pytest.mark.parametrize("fate", [REFUSED, FAILED])
@pytest.mark.parametrize("count", [1, 2])
def test_a_batch_ends_where_all_fails_at_all_servers(tmp_path: Path, fate: str, count: int):
    sick = [Comfy(lambda number: fate) for _ in range(count)]
    with pytest.raises(BatchError, match=r"10 works in a row failed.*same command does the rest"):
        drive(tmp_path, 200, *sick)
    assert len({number for comfy in sick for number in comfy.tried}) < 30
    assert drive(tmp_path, 200, Comfy()) == (200, 0)


@pytest.mark.usefixtures("quick")
def test_a_server_that_is_in_order_again_works_again(tmp_path: Path):
    ill = Comfy(lambda number: DONE if len(ill.tried) > 5 else FAILED)
    good = Comfy(takes_s=0.1)
    patience = Patience(backoff_s=0.01, sick_after=3, sick_s=0.1)
    assert drive(tmp_path, 60, ill, good, patience=patience) == (60, 0)
    assert len(ill.tried) > 20


def test_one_work_that_fails_again_and_again_is_no_sign_of_a_sick_server(tmp_path: Path):
    patience = Patience(retries=20, backoff_s=0.0)
    comfy = Comfy(lambda number: FAILED)
    assert drive(tmp_path, 1, comfy, patience=patience) == (0, 1)
    assert len(comfy.tried) == 21


@pytest.mark.usefixtures("quick")
def test_a_job_that_hangs_is_interrupted_and_tried_again(tmp_path: Path):
    comfy = Comfy(lambda number: HUNG if len(comfy.tried) == 1 else DONE)
    assert drive(tmp_path, 3, comfy, patience=Patience(backoff_s=0.01, quiet_s=0.5)) == (3, 0)
    assert sorted(comfy.tried) == [0, 0, 1, 2]


@pytest.mark.usefixtures("quick")
def test_a_job_that_makes_steps_does_not_hang(tmp_path: Path):
    comfy = Comfy(lambda number: HUNG)

    async def steps() -> None:
        for _ in range(20):
            await asyncio.sleep(0.1)
            await comfy.tell("progress", value=1, max=2)
        comfy.end(comfy.running.pop(), None)

    patience = Patience(retries=0, quiet_s=1)
    assert drive(tmp_path, 1, comfy, patience=patience, meanwhile=steps) == (1, 0)


@pytest.mark.usefixtures("quick")
def test_a_server_that_goes_on_with_a_job_that_hangs_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its jobs go to the others, also those that waited; it joins when the job is gone."""
    monkeypatch.setattr("fvg_core.bench.servers.STOPPING_S", 0.2)
    hanging = Comfy(lambda number: HUNG, stops=False)
    comfy = Comfy(takes_s=0.3)
    patience = Patience(backoff_s=0.01, quiet_s=0.5)
    assert drive(tmp_path / "both", 20, hanging, comfy, patience=patience) == (20, 0)
    assert len(hanging.running) == 1
    assert not hanging.pending

    alone = Comfy(lambda number: HUNG, stops=False)
    patience = Patience(backoff_s=0.01, quiet_s=0.5, gone_s=1)
    with pytest.raises(BatchError, match="No server answered and was in order"):
        drive(tmp_path / "one", 3, alone, patience=patience)


def test_a_job_that_hangs_keeps_its_server_from_the_next_phase_too(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("fvg_core.bench.servers.STOPPING_S", 0.2)
    name = "5b0c4d0e-7a3f-4a53-9a5e-0123456789ab"

    async def meet() -> None:
        async with Comfy(lambda number: HUNG, stops=False) as comfy:
            first, second = Server(comfy.url, "first"), Server(comfy.url, "second")
            async with first.remote, second.remote:
                await first.place(works(1)[0], name)
                with pytest.raises(HostError, match="could not be interrupted"):
                    await first.end_of(name, 0.1)
                with pytest.raises(HostError, match="still runs a job that hangs"):
                    await second.greet()
                comfy.end(comfy.running.pop(), None)
                await second.greet()

    asyncio.run(meet())


def test_a_slow_server_may_take_many_times_its_longest_run(tmp_path: Path):
    with Store(tmp_path) as store:
        server = Server("http://127.0.0.1:9", store.id)
        usual = Runner(iter(()), [server], store, Progress(0, ""), Patience())
        asked = Runner(iter(()), [server], store, Progress(0, ""), Patience(quiet_s=60))
    assert usual._quiet_s(server) == 7200
    server.longest_s = 3600
    assert usual._quiet_s(server) == 20 * 3600
    assert asked._quiet_s(server) == 60


def test_half_a_character_in_a_text_of_the_server_is_kept_as_an_escape(tmp_path: Path):
    with Store(tmp_path) as store:
        part, _ = asyncio.run(store.download(_said("a dog \ud83d"), "text.txt"))
        assert part.read_bytes() == b"a dog \\ud83d"
