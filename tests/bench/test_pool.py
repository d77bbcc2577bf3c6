"""Work shared by servers: whatever happens, each work ends once and none is lost."""

from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fvg_core.bench.pool import Job, Pool
from fvg_core.bench.prompt_list import Entry
from fvg_core.bench.servers import MARK, Server, is_ours
from fvg_core.bench.store import Kept, Store
from fvg_core.bench.template import Work

URLS = ("http://127.0.0.1:1", "http://127.0.0.1:2")


def works(count: int) -> list[Work]:
    return [Work(f"{i:064x}", Entry(f"prompt {i}", i), None, {}, None) for i in range(count)]


def servers(store: Store) -> list[Server]:
    both = [Server(url, store.id) for url in URLS]
    for server in both:
        server.alive = True
    return both


async def drive(pool: Pool, ends: list[str], fates, store: Store) -> None:
    """Two workers at each server; `fates` draws what becomes of a job each time."""

    async def worker(server: Server) -> None:
        while True:
            job = await pool.take(server)
            await asyncio.sleep(0)
            fate = fates()
            if fate == "finish":
                store.done[job.work.key] = (Kept("x", "", 0),)
                ends.append(job.work.key)
                pool.finished(job)
            elif fate == "drop":
                ends.append(job.work.key)
                pool.dropped(job)
            elif fate == "again":
                pool.again(job, 0.001)
            else:  # the server died
                pool.give_back(job)
                pool.release(server)

    tasks = [asyncio.create_task(worker(server)) for server in pool.servers * 2]
    await asyncio.wait_for(pool.all_done.wait(), 10)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["finish", "drop", "again", "die"])), st.integers(0, 12))
def test_nothing_is_lost_and_nothing_done_twice(tmp_path_factory, drawn, count: int):
    fates = iter(drawn)
    ends: list[str] = []
    with Store(tmp_path_factory.mktemp("pool")) as store:
        both = servers(store)
        listed = works(count)
        if listed:  # one was left on the second server by an earlier run
            both[1].known.add(Job(listed[0]).name(store.id))
        pool = Pool(iter([*listed, *listed[:3]]), both, store)
        asyncio.run(drive(pool, ends, lambda: next(fates, "finish"), store))
    assert sorted(ends) == [work.key for work in listed]
    assert pool.skipped == len(listed[:3])


def test_a_job_is_found_where_an_earlier_run_left_it(tmp_path: Path):
    async def taken() -> tuple[str, str]:
        first, second = both
        tasks = [asyncio.create_task(pool.take(s)) for s in (first, second)]
        return tuple([(await task).work.key for task in tasks])

    with Store(tmp_path) as store:
        both = servers(store)
        one, two = works(2)
        both[1].known.add(Job(one).name(store.id, 3))
        pool = Pool(iter([one, two]), both, store)
        assert asyncio.run(taken()) == (two.key, one.key)


def test_what_waited_for_a_dead_server_goes_to_the_others(tmp_path: Path):
    async def taken() -> str:
        waiting = asyncio.create_task(pool.take(both[0]))
        await asyncio.sleep(0.01)
        assert not waiting.done()  # the job belongs to the second
        pool.release(both[1])
        return (await asyncio.wait_for(waiting, 5)).work.key

    with Store(tmp_path) as store:
        both = servers(store)
        (one,) = works(1)
        both[1].known.add(Job(one).name(store.id))
        pool = Pool(iter([one]), both, store)
        assert asyncio.run(taken()) == one.key


def test_a_failed_job_comes_again_later_under_another_name(tmp_path: Path):
    async def names() -> list[str]:
        job = await pool.take(both[0])
        first = job.name(store.id)
        pool.again(job, 0.05)
        started = time.monotonic()
        second = (await asyncio.wait_for(pool.take(both[1]), 5)).name(store.id)
        assert time.monotonic() - started >= 0.04
        return [first, second]

    with Store(tmp_path) as store:
        both = servers(store)
        pool = Pool(iter(works(1)), both, store)
        assert len(set(asyncio.run(names()))) == 2


def test_names_belong_to_batch_work_and_attempt():
    batches = [str(uuid.uuid4()) for _ in range(2)]
    one, two = works(2)
    names = {Job(work).name(b, i) for work in (one, two) for b in batches for i in (0, 1)}
    assert len(names) == 8
    assert Job(one).name(batches[0]) == Job(one).name(batches[0])
    assert all(str(uuid.UUID(name)) == name for name in names)


def test_only_marked_jobs_are_ours():
    assert is_ours([1, "id", {}, {MARK: "b"}, []], "b")
    for job in ([1, "id", {}, {MARK: "c"}, []], [1, "id", {}, {}, []], [1, "id"], None, "b"):
        assert not is_ours(job, "b")
