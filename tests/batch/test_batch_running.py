"""A batch on this machine: order, resuming, limits, failures, memory."""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter, deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batch_jobs import config, done, echo, prompts, quiet, read, without_runs, written
from coterie.batch.asking import Recipe, seed_of
from coterie.batch.jobs import AT_ONCE, Begun, Job, begun
from coterie.batch.rows import Columns
from coterie.batch.running import BUDGET, FAILURES, INTERRUPTED, Stop
from coterie.config import Config
from coterie.errors import ConfigError, StoreError
from coterie.members.scripted import Reply, ScriptedMember, ScriptedModel
from coterie.methods.vote import Vote
from coterie.protocols import House
from coterie.types import FailureKind, Request


class Asked:
    """A script that counts what it is asked."""

    def __init__(self) -> None:
        self.prompts: Counter[str] = Counter()
        self.down = False

    def __call__(self, request: Request, nth: int) -> Reply:
        self.prompts[request.question] += 1
        return Reply(fail=FailureKind.CONNECTION) if self.down else echo(request, nth)


def job(folder: Path, n: int = 20, **more: Any) -> Job:
    source = folder / "in.jsonl"
    return Job(source if source.exists() else prompts(source, n), folder / "out.jsonl", **{"block_rows": 8, **more})


def stop_after(rows: int, stop: Stop, reason: str = INTERRUPTED, grace_s: float | None = None) -> Any:
    def told(found: Begun) -> None:
        if found.tally.rows >= rows:
            stop.wanted(reason, grace_s)

    return told


# ---- order and results --------------------------------------------------------------------------


def test_rows_stand_in_the_inputs_order_whatever_order_they_end_in(tmp_path: Path) -> None:
    ended: list[int] = []
    done(job(tmp_path), config(), told=lambda found: ended.append(found.tally.rows))
    rows = read(tmp_path / "out.jsonl")
    assert [row["id"] for row in rows] == [f"r{n}" for n in range(1, 21)]
    assert [row["row"] for row in rows] == list(range(1, 21))
    assert all(row["answer"] == f"echo {row['prompt']}" for row in rows)
    assert not (tmp_path / "out.jsonl.part").exists()
    assert ended[-1] == 20


def test_a_row_says_who_answered_and_what_it_took(tmp_path: Path) -> None:
    source = written(tmp_path / "in.jsonl", [{"prompt": "one two", "answer": "gold", "row": "r", "input_row": 7}])
    done(Job(source, tmp_path / "out.jsonl"), config())
    [row] = read(tmp_path / "out.jsonl")
    assert row.pop("run").startswith("run-")
    assert row == {
        "prompt": "one two",
        "input_answer": "gold",  # a column of the input gives way to the result's of that name, and is not lost
        "input_input_row": "r",
        "input_row": 7,
        "row": 1,
        "model": "coterie/default",
        "answer": "echo one two",
        "how": "only",
        "author": "ann",
        "partial": False,
        "usage": {"calls": 1, "input_tokens": 2, "output_tokens": 3, "cost_usd": 0.005, "known_cost_usd": 0.005},
        "failures": [],
        "error": None,
        "response": None,
    }


def test_an_unknown_price_is_null_and_no_zero(tmp_path: Path) -> None:
    found = done(job(tmp_path, 2), config(price=None))
    assert [row["usage"]["cost_usd"] for row in read(tmp_path / "out.jsonl")] == [None, None]
    assert found.tally.unpriced == 2


def test_no_rows_make_an_empty_output(tmp_path: Path) -> None:
    done(job(tmp_path, 0), config())
    assert (tmp_path / "out.jsonl").read_bytes() == b""


# ---- rows that cannot be asked ------------------------------------------------------------------

ODD: list[tuple[bytes, str]] = [
    (b"nope", "line 2 is no JSON"),
    (b"[1]", "line 2 is no object, but list"),
    (b'\xff{"prompt": "x"}', "line 2 is not valid UTF-8"),
    (b'{"prompt": "a", "n": 1e999}', "too large"),
    (b'{"prompt": NaN}', "no JSON number"),
    (b"[" * 100_000, "nested too deeply"),
    (b'{"prompt": ""}', "line 2: prompt is empty"),
    (b'{"prompt": 5}', "line 2: prompt should be a text or a list of messages, not int"),
    (b'{"prompt": "a\\ud800"}', "half a character"),
    (b'{"prompt": "x", "messages": []}', "line 2: it has prompt and messages; --prompt-column"),
    (b'{"messages": "x"}', "should be a list of messages"),
    (b'{"messages": [{"role": "king", "content": "x"}]}', "messages[0].role"),
    (b'{"other": 1}', "line 2: it has no prompt and no messages and no body"),
    (b'{"id": "first", "prompt": "x"}', "line 2: its id stands in row 1 already"),
    (b'{"id": [1], "prompt": "x"}', "line 2: its id is list"),
    (b'{"body": {"model": "zzz", "messages": [{"role": "user", "content": "x"}]}}', "there is no model 'zzz'"),
    (b'{"body": {"messages": [{"role": "user", "content": "x"}], "stream": true}}', "leave out stream"),
    (b'{"body": {"messages": [{"role": "user", "content": "x"}], "n": 2}}', "repeat the row"),
    (b'{"url": "/v1/embeddings", "body": {"input": "x"}}', "only /v1/chat/completions is answered"),
    (b'{"body": {"messages": [{"role": "user", "content": "x"}], "temperature": 9}}', "temperature"),
]


@pytest.mark.parametrize(("line", "said"), ODD, ids=[said for _, said in ODD])
def test_a_row_that_cannot_be_asked_is_an_error_and_the_batch_goes_on(tmp_path: Path, line: bytes, said: str) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b'\xef\xbb\xbf{"id": "first", "prompt": "a"}\r\n' + line + b'\n\n  \n{"prompt": "b"}')
    found = done(Job(source, tmp_path / "out.jsonl"), config())
    first, odd, last = read(tmp_path / "out.jsonl")
    assert [first["answer"], odd["answer"], last["answer"]] == ["echo a", None, "echo b"]
    assert said in odd["error"]["message"]
    assert odd["run"] is None
    assert (found.tally.failed, found.tally.unanswered) == (1, 0)
    assert not (tmp_path / "out.jsonl.part").exists()


def test_who_fails_to_answer_is_named_in_the_row(tmp_path: Path) -> None:
    asked = Asked()
    asked.down = True
    found = done(job(tmp_path, 2), config(asked))
    rows = read(tmp_path / "out.jsonl")
    assert [row["error"]["code"] for row in rows] == ["upstream_failed"] * 2
    assert rows[0]["failures"][0]["member"] == "ann"
    assert (found.tally.failed, found.tally.unanswered) == (2, 2)


@pytest.mark.parametrize(
    ("defect", "code"), [(RuntimeError("a defect"), "internal"), (StoreError("it is away"), "unavailable")]
)
def test_a_defect_of_a_part_costs_one_row(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, defect: Exception, code: str
) -> None:
    class Broken(Vote):
        async def __call__(self, request: Request, run: Any) -> Any:
            if request.question.endswith(" 3"):
                raise defect
            return await super().__call__(request, run)

    made = config()
    source = prompts(tmp_path / "in.jsonl", 4)
    part = Broken(("ann",))
    with begun(Job(source, tmp_path / "out.jsonl"), quiet) as found:
        asyncio.run(found.run(replace(made, methods={"default": part}), Stop()))
        found.write(quiet)
    assert [(row["error"] or {}).get("code") for row in read(tmp_path / "out.jsonl")] == [None, None, code, None]
    assert found.tally.unanswered == 1


# ---- resuming -----------------------------------------------------------------------------------


@pytest.mark.parametrize("grace_s", [None, 0.0], ids=["those under way end", "those under way are cancelled"])
def test_an_interrupted_batch_equals_one_that_was_not(tmp_path: Path, grace_s: float | None) -> None:
    whole = done(replace(job(tmp_path, 40), output=tmp_path / "whole.jsonl"), config())
    asked, interruptions = Asked(), 0
    while True:
        stop = Stop()
        found = done(job(tmp_path), config(asked), stop, stop_after(interruptions * 9 + 9, stop, grace_s=grace_s))
        if not found.left:
            break
        interruptions += 1
        assert not (tmp_path / "out.jsonl").exists()
    assert interruptions >= 2
    assert without_runs(read(tmp_path / "out.jsonl")) == without_runs(read(tmp_path / "whole.jsonl"))
    if grace_s is None:
        assert set(asked.prompts.values()) == {1}
        assert found.tally.known_usd == pytest.approx(whole.tally.known_usd)


def test_what_a_cancelled_row_had_cost_is_booked(tmp_path: Path) -> None:
    slow = Reply("late", latency_s=60.0)

    def script(request: Request, nth: int) -> Reply:
        return slow if request.question.endswith(" 3") else Reply("at once")

    two = Config(
        {
            name: ScriptedMember(name, script=script, price=config().members["ann"].card.price)
            for name in ("ann", "bob")
        },
        {"default": Vote(("ann", "bob"))},
    )
    quick = replace(two.members["bob"], script=lambda request, nth: Reply("at once"))  # type: ignore[type-var]
    made = replace(two, members={**two.members, "bob": quick})
    stop = Stop()

    def told(found: Begun) -> None:
        if found.tally.rows == 4 and not stop.reason:
            asyncio.get_running_loop().call_later(0.02, stop.wanted, INTERRUPTED, 0.0)

    found = done(job(tmp_path, 5), made, stop, told)
    assert found.tally.rows == 4
    spent = found.tally.known_usd
    with begun(job(tmp_path), quiet) as again:
        assert again.tally.rows == 4
        assert again.tally.known_usd == pytest.approx(spent)
        rows_usd = sum(
            result["usage"]["known_cost_usd"]
            for block in again.folder.blocks()
            for result in again.folder.kept(block).results.values()
        )
    assert spent > rows_usd


def test_each_row_has_a_seed_of_its_own_that_depends_on_nothing_else() -> None:
    seeds = {seed_of(seed, row) for seed in (0, 1) for row in range(1, 500)}
    assert len(seeds) == 998
    assert seed_of(7, 3) == seed_of(7, 3)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"recipe": Recipe(seed=1)}, "batch.seed"),
        ({"recipe": Recipe(columns=Columns(prompt="prompt"))}, "batch.columns.prompt"),
        ({"members": {"context_tokens": 5}}, "members.ann.context_tokens"),
    ],
    ids=["seed", "column", "member"],
)
def test_other_settings_are_refused_and_named(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    stop = Stop()
    done(job(tmp_path), config(), stop, stop_after(3, stop))
    other = job(tmp_path, recipe=changed.get("recipe", Recipe()))
    with pytest.raises(ConfigError, match=f"{said} differ.*--restart"):
        done(other, config(**changed.get("members", {})))
    done(job(tmp_path), config(timeout_s=5.0, retries=0, max_concurrency=3))  # how they are asked may change
    assert len(read(tmp_path / "out.jsonl")) == 20


def test_another_input_is_refused_and_a_copy_of_the_same_is_not(tmp_path: Path) -> None:
    stop = Stop()
    begun_with = job(tmp_path)
    done(begun_with, config(), stop, stop_after(3, stop))
    text = begun_with.source.read_text()
    begun_with.source.write_text(text.replace("word", "lord"))
    with pytest.raises(ConfigError, match="its content differs"):
        done(begun_with, config())
    begun_with.source.write_text(text)
    os.utime(begun_with.source, ns=(1, 1))
    assert not done(begun_with, config()).left


def test_what_never_began_is_bound_to_nothing(tmp_path: Path) -> None:
    source = written(tmp_path / "in.jsonl", [{"id": 1, "k": 1, "prompt": "x"}, {"id": 2, "k": 1, "prompt": "y"}])
    recipe = Recipe(method="absent", columns=Columns(id="k"))
    with pytest.raises(ConfigError, match="there is no method 'absent'"):
        done(Job(source, tmp_path / "out.jsonl", recipe), config())
    assert done(Job(source, tmp_path / "out.jsonl"), config()).tally.failed == 0  # ids were looked at in another column


def test_restarting_asks_every_row_again(tmp_path: Path) -> None:
    asked, stop = Asked(), Stop()
    done(job(tmp_path), config(asked), stop, stop_after(5, stop))
    done(job(tmp_path, restart=True), config(asked))
    with pytest.raises(ConfigError, match="is finished; --restart"):
        done(job(tmp_path), config(asked))
    done(job(tmp_path, restart=True), config(asked))
    assert asked.prompts["word x 1"] == 3


def test_one_output_is_written_by_one_process(tmp_path: Path) -> None:
    with begun(job(tmp_path), quiet), pytest.raises(ConfigError, match="another process"), begun(job(tmp_path), quiet):
        pass


def test_a_crash_after_the_output_was_written_costs_nothing(tmp_path: Path) -> None:
    asked = Asked()
    with begun(job(tmp_path), quiet) as found:
        found.bind(config(asked))
        asyncio.run(found.run(config(asked), Stop()))
        found.tally.unanswered = 1  # so that the journals are left
        found.write(quiet)
    before = read(tmp_path / "out.jsonl")
    done(job(tmp_path), config(asked))
    assert read(tmp_path / "out.jsonl") == before
    assert set(asked.prompts.values()) == {1}


# ---- limits -------------------------------------------------------------------------------------


def test_the_money_of_all_runs_together_is_bounded(tmp_path: Path) -> None:
    asked = Asked()
    limited = job(tmp_path, limit_usd=0.03, at_once=1)
    stop = Stop()
    found = done(limited, config(asked), stop)
    assert stop.reason == BUDGET
    assert 0.03 <= found.tally.known_usd < 0.04
    before = asked.prompts.total()
    assert done(limited, config(asked)).tally.rows == found.tally.rows
    assert asked.prompts.total() == before
    assert not done(replace(limited, limit_usd=1.0), config(asked)).left
    assert set(asked.prompts.values()) == {1}


def test_an_endpoint_that_is_away_ends_the_run_and_its_rows_can_be_asked_again(tmp_path: Path) -> None:
    asked, stop = Asked(), Stop()
    asked.down = True
    found = done(job(tmp_path, max_failures=3, at_once=1), config(asked), stop)
    assert (stop.reason, found.tally.rows) == (FAILURES, 3)
    asked.down = False
    assert done(job(tmp_path, max_failures=3), config(asked)).tally.failed == 3
    assert (tmp_path / "out.jsonl.part").exists()  # as long as rows are unanswered
    again = done(job(tmp_path, retry_failed=True), config(asked))
    assert again.tally.failed == 0
    assert [row["error"] for row in read(tmp_path / "out.jsonl")] == [None] * 20
    assert sorted(asked.prompts.values()) == [1] * 17 + [2] * 3
    assert not (tmp_path / "out.jsonl.part").exists()


def test_no_more_rows_are_under_way_than_the_slowest_member_takes(tmp_path: Path) -> None:
    made = config(max_concurrency=3)
    assert job(tmp_path).rows_at_once(made, ["default"]) == 3
    assert job(tmp_path).rows_at_once(config(), ["default"]) == AT_ONCE
    assert job(tmp_path, at_once=5).rows_at_once(made, ["default"]) == 5
    under_way, most = 0, 0

    async def asked() -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1

    class Counting(Vote):
        async def __call__(self, request: Request, run: Any) -> Any:
            await asked()
            return await super().__call__(request, run)

    with begun(job(tmp_path), quiet) as found:
        asyncio.run(found.run(replace(made, methods={"default": Counting(("ann",))}), Stop()))
    assert most == 3


# ---- OpenAI's form ------------------------------------------------------------------------------


def test_rows_in_openais_form_ask_any_model_and_are_answered_in_its_form(tmp_path: Path) -> None:
    def request(id_: str, **body: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": f"say {id_}"}]
        body = {"messages": messages, **body}
        return {"custom_id": id_, "method": "POST", "url": "/v1/chat/completions", "body": body}

    source = written(
        tmp_path / "in.jsonl", [request("a", model="coterie/default"), request("b", model="ann"), request("c")]
    )
    done(Job(source, tmp_path / "out.jsonl"), config())
    rows = read(tmp_path / "out.jsonl")
    assert [row["custom_id"] for row in rows] == ["a", "b", "c"]
    assert [row["model"] for row in rows] == ["coterie/default", "ann", "coterie/default"]
    response = rows[0]["response"]
    assert response["status_code"] == 200
    assert response["request_id"] == rows[0]["run"]
    assert response["body"]["choices"][0]["message"]["content"] == "echo say a" == rows[0]["answer"]
    assert rows[0]["error"] is None


def test_what_a_body_asks_for_reaches_the_member(tmp_path: Path) -> None:
    seen: list[Request] = []

    def script(request: Request, nth: int) -> str:
        seen.append(request)
        return "x"

    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    body = {"model": "ann", "messages": messages, "temperature": 0.5, "max_tokens": 7, "seed": 3}
    done(Job(written(tmp_path / "in.jsonl", [{"body": body}]), tmp_path / "out.jsonl"), config(script))
    [asked] = seen
    assert (asked.sampling.temperature, asked.sampling.max_tokens, asked.sampling.seed) == (0.5, 7, 3)
    assert [message.role for message in asked.messages] == ["system", "user"]


def test_any_column_can_be_what_is_asked(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"q": "one", "prompt": "never asked"}, {"q": [{"role": "user", "content": "two"}]}]
    recipe = Recipe(columns=Columns(prompt="q"))
    done(Job(written(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl", recipe), config())
    assert [row["answer"] for row in read(tmp_path / "out.jsonl")] == ["echo one", "echo two"]


# ---- size ---------------------------------------------------------------------------------------


class Forgetful(ScriptedMember):
    """Remembers one request, where the scripted member remembers all for tests to look at."""

    async def open(self, house: House) -> ScriptedModel:
        model = await super().open(house)
        model.requests = deque(maxlen=1)  # type: ignore[assignment]
        return model


def test_ten_thousand_rows_take_no_more_memory_than_two_thousand(tmp_path: Path) -> None:
    source = written(tmp_path / "in.jsonl", ({"id": n, "prompt": f"{n} " + "x" * 2000} for n in range(10_000)))
    held: dict[int, int] = {}

    def told(found: Begun) -> None:
        if found.tally.rows in (2_000, 10_000):
            gc.collect()
            held[found.tally.rows] = resident_bytes()

    ann = Forgetful("ann", script=lambda request, nth: f"answer {request.question}")
    with begun(Job(source, tmp_path / "out.jsonl"), quiet) as found:
        asyncio.run(found.run(Config({"ann": ann}, {"default": Vote(("ann",))}), Stop(), lambda: told(found)))
        found.write(quiet)
    assert held[10_000] - held[2_000] < 10 * 2**20  # rows and answers in between are 32 MB
    assert resident_bytes() - held[2_000] < 10 * 2**20
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == list(range(10_000))


def resident_bytes() -> int:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("how much memory is held is read from /proc")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
