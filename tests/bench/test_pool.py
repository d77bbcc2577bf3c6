"""Work shared by servers: whatever happens, each work ends once and none is lost."""

from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fvg_core.bench.pool import MOST_NEAR, Job, Pool
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
@given(
    st.lists(st.sampled_from(["finish", "drop", "again", "die"])),
    st.integers(0, 12),
    st.lists(st.sampled_from([*URLS, None, "http://gone"]), min_size=12, max_size=12),
)
def test_nothing_is_lost_and_nothing_done_twice(tmp_path_factory, drawn, count: int, places):
    fates = iter(drawn)
    ends: list[str] = []
    with Store(tmp_path_factory.mktemp("pool")) as store:
        both = servers(store)
        listed = works(count)
        if listed:  # one was left on the second server by an earlier run
            both[1].known.add(Job(listed[0]).name(store.id))
        home = lambda work: places[work.entry.line]
        pool = Pool(iter([*listed, *listed[:3]]), both, store, home)
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


def test_each_server_goes_on_with_its_own_and_helps_out_at_the_end(tmp_path: Path):
    async def taken() -> list[int]:
        order = (*both, *both, both[1], both[1], both[1])
        return [(await pool.take(server)).work.entry.line for server in order]

    with Store(tmp_path) as store:
        both = servers(store)
        # 0, 1, 5 and 6 begin on the first server, 2 on the second.
        places = {0: URLS[0], 1: URLS[0], 2: URLS[1], 5: URLS[0], 6: URLS[0]}
        pool = Pool(iter(works(7)), both, store, lambda work: places.get(work.entry.line))
        assert asyncio.run(taken()) == [0, 2, 1, 3, 4, 5, 6]


def test_a_list_that_belongs_to_one_server_is_not_read_into_memory(tmp_path: Path):
    async def take(count: int) -> None:
        for _ in range(count):
            await pool.take(both[1])

    with Store(tmp_path) as store:
        both = servers(store)
        listed = iter(works(1000))
        pool = Pool(listed, both, store, lambda work: URLS[0])
        asyncio.run(take(10))
    assert len(list(listed)) == 1000 - MOST_NEAR - 10 + 1


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
