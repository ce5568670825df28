"""Running on Ray: Ray Data hands blocks to actors, on one machine or many, each of which holds one committee.

An actor reads its blocks from the input and writes their journals itself, so resuming is what it is without Ray. Input
and output must lie in folders that every machine sees under the same path. Only how far it has come goes over Ray.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from coterie.batch import sources
from coterie.batch.asking import Asker
from coterie.batch.folder import Folder
from coterie.batch.jobs import Begun, Job
from coterie.batch.journals import Tally
from coterie.batch.rows import Block
from coterie.batch.running import GRACE_S, INTERRUPTED, Running, Stop
from coterie.committee import Committee
from coterie.config import Config
from coterie.errors import CoterieError, MissingExtra

REPORT_S = 0.5
"""So often actors say how far they have come, and hear whether they are to stop."""

TASKS_AN_ACTOR = 8
MOST_BLOCKS = 64
"""Blocks are handed out in so many parts an actor, or in parts of so many blocks, where that makes more: so all actors
end at about the same time.
"""

STORE_BYTES = 100 * 2**20
"""Of a cluster that is started here: nothing but the blocks' places is kept in it."""


@dataclass(frozen=True)
class Cluster:
    """Where actors are."""

    address: str | None = None
    """Of a running cluster; without one, a cluster of this machine is started, and stopped at the end."""
    actors: int = 1


def run(begun: Begun, config: Config, cluster: Cluster, interrupted: threading.Event, told: Callable[[], None]) -> str:
    """Why it stopped; empty when every row has a result. `told` is called now and then.

    Once `interrupted` is set, no further row is taken, and rows under way may end within `GRACE_S`.

    Raises `OSError` where an actor cannot write, `CoterieError` where it cannot read, `MissingExtra` without Ray.
    """
    ray = _ray()
    with _Connected(ray, cluster):
        board = ray.remote(num_cpus=0)(Board).remote(replace(begun, complete=bytearray()))
        at_once = begun.job.rows_at_once(config, begun.methods)
        work = threading.Thread(
            target=_hand_out, args=(ray, board, begun, config, cluster.actors, at_once), daemon=True
        )
        work.start()
        while work.is_alive():
            begun.tally = ray.get(board.look.remote())[0]
            told()
            if interrupted.is_set():
                ray.get(board.stop.remote(INTERRUPTED))
            work.join(REPORT_S)
        begun.tally, reason, defect = ray.get(board.look.remote())
    if defect is not None:
        raise defect
    if not reason:
        begun.look(_quiet, retry=False)  # an actor that died had not said all
    return str(reason)


class Board:
    """An actor that knows how far all others have come, and whether they are to stop."""

    def __init__(self, begun: Begun) -> None:
        self._begun = begun
        self._reason = begun.enough()
        self._defect: BaseException | None = None

    def add(self, more: Tally) -> str:
        """Why to stop; empty to go on."""
        self._begun.tally += more
        self.stop(self._begun.enough())
        return self._reason

    def stop(self, reason: str) -> None:
        self._reason = self._reason or reason

    def fail(self, defect: BaseException) -> None:
        self._defect = self._defect or defect
        self.stop("defect")

    def look(self) -> tuple[Tally, str, BaseException | None]:
        return self._begun.tally, self._reason, self._defect


class Blocks:
    """An actor that asks the rows of blocks. It stays open from block to block, and so does its committee."""

    def __init__(self, board: Any, job: Job, config: Config, at_once: int) -> None:
        self._board = board
        self._job = job
        self._at_once = at_once
        self._runner = asyncio.Runner()
        self._committee = Committee.from_config(config)
        self._runner.run(self._committee.__aenter__())  # the process ends with the actor, and closes it

    def __call__(self, batch: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        blocks = [Block.from_json(json.loads(text)) for text in batch["block"]]
        try:
            self._runner.run(self._run(blocks))
        except (OSError, CoterieError) as error:
            _ray().get(self._board.fail.remote(error))
        return {"block": [str(block.number) for block in blocks]}

    async def _run(self, blocks: Sequence[Block]) -> None:
        stop = Stop()
        report = _Report(self._board, stop)
        await report.send()
        if stop.reason:
            return
        reporting = asyncio.ensure_future(report.keep_sending())
        try:
            with sources.opened(self._job.source, self._job.recipe.columns) as reader:
                asker = Asker(self._committee, self._job.recipe)
                folder = Folder(self._job.output)
                running = Running(folder, reader, asker, self._at_once, stop, report.add, self._job.retry_failed)
                await running.run(blocks)
        finally:
            reporting.cancel()
            with suppress(asyncio.CancelledError):
                await reporting
            await report.send()


class _Report:
    """What an actor has to say to the board."""

    def __init__(self, board: Any, stop: Stop) -> None:
        self._board = board
        self._stop = stop
        self._unsaid = Tally()

    def add(self, more: Tally) -> None:
        self._unsaid += more

    async def keep_sending(self) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            await asyncio.shield(asyncio.ensure_future(self.send()))

    async def send(self) -> None:
        unsaid, self._unsaid = self._unsaid, Tally()
        reason = await asyncio.to_thread(_ray().get, self._board.add.remote(unsaid))
        if reason and not self._stop.reason:
            self._stop.wanted(reason, GRACE_S if reason == INTERRUPTED else None)


# ---- the driver -------------------------------------------------------------------------------


def _hand_out(ray: Any, board: Any, begun: Begun, config: Config, actors: int, at_once: int) -> None:
    """Give every block that is not complete to an actor, and return when they have ended."""
    blocks = [{"block": json.dumps(block.to_json())} for block in begun.blocks()]
    job = replace(begun.job, source=begun.job.source.resolve(), output=begun.job.output.resolve(), restart=False)
    parts = min(len(blocks), max(actors * TASKS_AN_ACTOR, len(blocks) // MOST_BLOCKS))
    try:
        handed = ray.data.from_items(blocks, override_num_blocks=parts)
        asked = handed.map_batches(
            Blocks,
            fn_constructor_args=(board, job, config, at_once),
            compute=ray.data.ActorPoolStrategy(size=actors),
            batch_size=None,
            num_cpus=1,
        )
        for _ in asked.iter_batches(batch_size=None):
            pass
    except Exception as error:  # Ray's own, of many kinds
        with suppress(Exception):  # nobody is there any more to hear of it
            ray.get(board.fail.remote(CoterieError(f"Ray could not carry it out: {error}")))


def _quiet(what: str, done: int, total: int) -> None:
    pass


class _Connected:
    """While it is entered, this process is connected to a cluster."""

    def __init__(self, ray: Any, cluster: Cluster) -> None:
        self._ray = ray
        self._cluster = cluster

    def __enter__(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        own: dict[str, Any] = {}
        if self._cluster.address is None:
            cpus = max(os.cpu_count() or 1, self._cluster.actors)
            own = {"num_cpus": cpus, "object_store_memory": STORE_BYTES, "include_dashboard": False}
        self._ray.init(
            address=self._cluster.address or "local", log_to_driver=False, logging_level=logging.ERROR, **own
        )
        context = self._ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()


def _ray() -> Any:
    """The package ray. Raises `MissingExtra`."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtra("--ray", "ray", "ray") from error
    return ray
