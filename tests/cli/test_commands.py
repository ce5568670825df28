"""The command line as people and scripts use it: each command as a process of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coterie import __version__
from coterie.trace import Trace
from http_faults import Body, FaultServer, Reply, Script

Json = Any

QUESTION = "Which city is the capital of that country?"
GOOD = {"ann": "Lima, says ann", "bob": "Quito, says bob", "cyd": "Oslo, the longest answer, says cyd"}
FUSED = "Fused out of the best."
SCORES = {"ann": 5, "bob": 3, "cyd": 1}

# ---- running it -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """What a command said."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Json:
        return json.loads(self.stdout)


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This environment without what would change what a command finds."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COTERIE_") and not k.endswith("_API_KEY")}
    return {**kept, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **(extra or {})}


def coterie(
    folder: Path, *arguments: str, stdin: str | bytes = "", env: Mapping[str, str] | None = None, strict: bool = True
) -> Said:
    """``coterie`` with these arguments, in this folder."""
    warnings = ["-W", "error"] if strict else []
    done = subprocess.run(
        [sys.executable, *warnings, "-m", "coterie.cli.app", *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        env=environment(env),
        cwd=folder,
        timeout=30,
        check=False,
    )
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def scripted(text: str) -> Script:
    """Answers, scores what it reviews by its author, fuses."""

    def script(body: Body, nth: int) -> Reply:
        said = body["messages"][-1]["content"]
        if said.endswith("The final answer:"):
            return Reply(FUSED, pieces=4)
        if "response_format" in body:
            shown = re.findall(r'<answer-\w+ id="([A-Z]+)">\n(.*)\n', said)
            authors = {answer: name for name, answer in GOOD.items()}
            scores = {label: SCORES[authors[answer]] for label, answer in shown}
            return Reply(json.dumps({"scores": scores, "reason": "as it deserves"}))
        return Reply(text)

    return script


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer({name: scripted(text) for name, text in GOOD.items()}) as running:
        yield running


@pytest.fixture
def config(server: FaultServer, tmp_path: Path) -> str:
    """A committee of three behind the server: methods `default` (peer blend) and `vote`."""
    members = {
        name: {
            "engine": "openai",
            "base_url": server.base_url,
            "model": name,
            "price": {"input_usd": 1, "output_usd": 2},
        }
        for name in GOOD
    }
    members["ann"]["api_key"] = "${ANN_KEY:-sk-the-default-key}"
    methods = {
        "default": {"kind": "peer_blend", "members": list(GOOD), "top_k": 2, "aggregator": "bob"},
        "vote": {"kind": "vote", "members": list(GOOD)},
    }
    return write(tmp_path / "committee.json", {"members": members, "methods": methods, "limits": {"deadline_s": 20}})


def write(path: Path, made: Json) -> str:
    path.write_text(json.dumps(made), encoding="utf-8")
    return str(path)


def simple(path: Path, *replies: Json, **more: Json) -> str:
    """A committee without a server: one scripted member a reply."""
    members = {f"m{n}": {"engine": "scripted", "replies": [reply], **more} for n, reply in enumerate(replies)}
    return write(path, {"members": members, "methods": {"default": {"kind": "vote", "members": list(members)}}})


def one_member(folder: Path, server: FaultServer) -> str:
    """A committee of the one member that `server` serves."""
    [name] = server.scripts
    member = {"engine": "openai", "base_url": server.base_url, "model": name, "retries": 0}
    made = {"members": {name: member}, "methods": {"default": {"kind": "vote", "members": [name]}}}
    return write(folder / "one.json", made)


# ---- help and mistakes ------------------------------------------------------------------------

COMMANDS = (
    "ask",
    "chat",
    "init",
    "members",
    "methods",
    "config",
    "config check",
    "config schema",
    "models",
    "models list",
    "models pull",
    "models path",
    "models remove",
    "train",
    "train pair-ranker",
    "train pointwise-ranker",
    "train fuser",
    "eval",
    "eval rank",
    "eval fuser",
    "export",
    "export pair-ranker",
    "calibrate",
    "calibrate reviewers",
    "trace",
    "trace show",
    "trace replay",
)


def test_the_installed_command_helps_and_names_every_command() -> None:
    command = shutil.which("coterie", path=str(Path(sys.executable).parent))
    assert command is not None, "the package is not installed beside this interpreter"
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0
    for name in {name.split()[0] for name in COMMANDS}:
        assert re.search(rf"^\W*{name} ", done.stdout, re.MULTILINE), f"{name!r} is missing"


def test_every_command_helps(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from coterie.cli.app import app

    for command in COMMANDS:
        done = CliRunner().invoke(app, [*command.split(), "--help"])
        assert done.exit_code == 0, command
        assert "Usage:" in done.output


def test_the_version(tmp_path: Path) -> None:
    assert coterie(tmp_path, "--version").stdout == f"coterie {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask",),
        ("asks", "x"),
        ("ask", "--no-such-option", "x"),
        ("ask", "--config", "absent.yaml", "x"),
        ("ask", "--config", "c.json", "--method", "absent", "x"),
        ("ask", "--config", "c.json", ""),
        ("ask", "--config", "c.json", "  \n"),
        ("ask", "--config", "c.json", "--trace", "no/such/folder/t.jsonl", "x"),
        ("ask", "--config", "c.json", "--trace", ".", "x"),
        ("ask", "--config", "c.json", "--trace", "t" * 300, "x"),
        ("members", "--config", "absent.yaml"),
        ("config", "check", "absent.yaml"),
        ("trace",),
        ("init", "c.json"),
    ],
)
def test_bad_usage_is_status_2_with_a_reason_and_no_traceback(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    simple(tmp_path / "c.json", "Paris")
    said = coterie(tmp_path, *arguments)
    assert said.status == 2
    assert said.stderr.strip() or "Usage:" in said.stdout
    assert "Traceback" not in said.stderr


# ---- ask --------------------------------------------------------------------------------------


def test_ask_into_a_pipe_tells_how_the_answer_came_about(tmp_path: Path, config: str) -> None:
    said = coterie(tmp_path, "ask", "--config", config, QUESTION)
    assert (said.status, said.stderr) == (0, "")
    assert "\x1b" not in said.stdout
    headings = ("candidates", "ballots", "ranking", "answer (written by bob out of ann, bob)", "s wall")
    places = [said.stdout.find(heading) for heading in headings]
    assert -1 not in places
    assert places == sorted(places)
    for text in (*GOOD.values(), FUSED):
        assert text in said.stdout
    assert "bob 3.00  cyd 1.00" in said.stdout  # ann's ballot
    assert "normalised_borda: ann > bob > cyd" in said.stdout
    assert "7 calls · 77 tokens in, 49 out · 0.000175 USD" in said.stdout
    assert re.fullmatch(r"id run-[0-9a-f]{32}", said.stdout.splitlines()[-1])  # what feedback names the answer by


def test_ask_in_json_is_one_object(tmp_path: Path, config: str) -> None:
    answer = coterie(tmp_path, "ask", "--json", "--config", config, QUESTION).json
    assert {"answer", "method", "candidates", "failures", "usage", "timing"} <= set(answer)
    assert (answer["answer"], answer["method"], answer["how"]) == (FUSED, "default", "fused")
    assert [(c["author"], c["rank"]) for c in answer["candidates"]] == [("ann", 1), ("bob", 2), ("cyd", 3)]
    assert {"id", "author", "text", "rank", "score"} <= set(answer["candidates"][0])
    assert {"calls", "input_tokens", "output_tokens", "cost_usd"} <= set(answer["usage"])
    assert 0 < answer["timing"]["critical_path_s"] <= answer["timing"]["wall_s"]


def test_ask_by_another_method(tmp_path: Path, config: str, server: FaultServer) -> None:
    said = coterie(tmp_path, "ask", "--json", "--config", config, "--method", "vote", QUESTION)
    assert (said.json["method"], said.json["how"]) == ("vote", "voted")
    assert len(server.requests) == 3


def test_ask_a_dash_reads_the_question_from_standard_input(tmp_path: Path, config: str, server: FaultServer) -> None:
    long = "Né à Lima? 😀\n" * 5000
    assert coterie(tmp_path, "ask", "--json", "--config", config, "-m", "vote", "-", stdin=long).status == 0
    assert server.requests[0].body["messages"] == [{"role": "user", "content": long}]


def test_ask_an_empty_standard_input_is_bad_usage(tmp_path: Path, config: str, server: FaultServer) -> None:
    said = coterie(tmp_path, "ask", "--config", config, "-", stdin=" \n")
    assert said.status == 2
    assert "empty" in said.stderr
    assert server.requests == []


@pytest.mark.parametrize("way", ["argument", "standard input"])
def test_a_question_that_is_no_utf8_is_bad_usage(tmp_path: Path, way: str) -> None:
    config = simple(tmp_path / "c.json", "Paris")
    raw = b"caf\xe9?"
    words, stdin = (os.fsdecode(raw), b"") if way == "argument" else ("-", raw)
    said = coterie(tmp_path, "ask", "--config", config, "--trace", "t.jsonl", words, stdin=stdin)
    assert said.status == 2
    assert "UTF-8" in said.stderr
    assert "Traceback" not in said.stderr


def test_ask_finds_its_configuration(tmp_path: Path) -> None:
    simple(tmp_path / "coterie.json", "from the folder")
    other = simple(tmp_path / "other.json", "from the environment")
    assert coterie(tmp_path, "ask", "--json", "x").json["answer"] == "from the folder"
    from_environment = coterie(tmp_path, "ask", "--json", "x", env={"COTERIE_CONFIG": other})
    assert from_environment.json["answer"] == "from the environment"


def test_a_trace_that_cannot_be_written_loses_no_answer(tmp_path: Path) -> None:
    folder = tmp_path / "traces"
    folder.mkdir()

    def takes_the_folder_away(body: Body, nth: int) -> Reply:
        folder.rmdir()
        return Reply("Paris")

    with FaultServer({"one": takes_the_folder_away}) as server:
        config = one_member(tmp_path, server)
        said = coterie(tmp_path, "ask", "--config", config, "--json", "--trace", "traces/t.jsonl", "x")
    assert said.json["answer"] == "Paris"
    assert said.status == 0
    assert "cannot write the trace 'traces/t.jsonl'" in said.stderr
    assert "Traceback" not in said.stderr


ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b31m\x00\x08\r!"


def drives_a_terminal(text: str) -> bool:
    """True when a control character but tab and newline is in it."""
    return re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text) is not None


def test_a_models_escape_sequences_do_not_reach_the_terminal(tmp_path: Path) -> None:
    config = simple(tmp_path / "c.json", ESCAPES, "Rome")
    file = tmp_path / "t.jsonl"
    plain = coterie(tmp_path, "ask", "--config", config, "--trace", str(file), "x")
    assert "red" in plain.stdout
    assert not drives_a_terminal(plain.stdout + plain.stderr)
    for command in ("show", "replay"):
        said = coterie(tmp_path, "trace", command, str(file))
        assert "red" in said.stdout
        assert not drives_a_terminal(said.stdout)
    chat = coterie(tmp_path, "chat", "--config", config, stdin="x\n")
    assert "red" in chat.stdout
    assert not drives_a_terminal(chat.stdout)


def test_an_escape_sequence_in_an_error_does_not_reach_the_terminal(tmp_path: Path) -> None:
    with FaultServer({"odd": Reply(status=500, error={"message": f"oops {ESCAPES}"})}) as server:
        config = one_member(tmp_path, server)
        for arguments, stdin in ((("ask", "--config", config, "x"), ""), (("chat", "--config", config), "x\n")):
            said = coterie(tmp_path, *arguments, stdin=stdin)
            assert "oops" in said.stderr
            assert not drives_a_terminal(said.stdout + said.stderr)
        status, shown = in_terminal(tmp_path, "ask", "--config", config, "x")
    assert status == 1
    assert "oops" in shown
    assert "\x1b]0;" not in shown
    assert "\x1b[2J" not in shown


def test_json_holds_a_models_text_to_the_letter(tmp_path: Path) -> None:
    config = simple(tmp_path / "c.json", ESCAPES)
    said = coterie(tmp_path, "ask", "--json", "--config", config, "x")
    assert said.json["answer"] == ESCAPES
    assert not drives_a_terminal(said.stdout.replace("\x7f", "").replace("\x9b", ""))


def test_output_that_is_no_utf8_still_carries_the_answer(tmp_path: Path) -> None:
    config = simple(tmp_path / "c.json", "Né à 東京 😀")
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    assert coterie(tmp_path, "ask", "--json", "--config", config, "x", env=ascii_only).json["answer"] == "Né à 東京 😀"


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    config = simple(tmp_path / "c.json", "Paris " * 100_000)
    command = [sys.executable, "-m", "coterie.cli.app", "ask", "--config", config, "--json", "x"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        errors = process.stderr.read()
    assert b"Traceback" not in errors


def in_terminal(folder: Path, *arguments: str) -> tuple[int, str]:
    """Status and output of ``coterie`` in a pseudo-terminal."""
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover - the child
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, "-m", "coterie.cli.app", *arguments], environment())
    shown, ends = b"", time.monotonic() + 20
    while time.monotonic() < ends:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")


# ---- chat -------------------------------------------------------------------------------------


def test_chat_over_a_pipe_takes_the_history_along(tmp_path: Path) -> None:
    def script(body: Body, nth: int) -> Reply:
        return Reply(f"answer {nth}", pieces=3)

    with FaultServer({"one": script}) as server:
        said = coterie(
            tmp_path,
            "chat",
            "--config",
            one_member(tmp_path, server),
            stdin="first\nsecond\n/new\nthird\n\nnever asked\n",
        )
        turns = [[m["content"] for m in seen.body["messages"]] for seen in server.requests]
    assert said.status == 0
    assert said.stdout.split() == ["answer", "1", "answer", "2", "answer", "3"]
    assert turns == [["first"], ["first", "answer 1", "second"], ["third"]]


def test_chat_goes_on_after_a_turn_without_an_answer(tmp_path: Path) -> None:
    def script(body: Body, nth: int) -> Reply:
        return Reply("") if nth == 1 else Reply("better")

    with FaultServer({"one": script}) as server:
        said = coterie(tmp_path, "chat", "--config", one_member(tmp_path, server), stdin="first\nsecond\n")
        turns = [[m["content"] for m in seen.body["messages"]] for seen in server.requests]
    assert "an empty answer" in said.stderr
    assert said.stdout.strip() == "better"
    assert turns == [["first"], ["second"]]


def test_chat_verbose_shows_how_each_answer_came_about(tmp_path: Path, config: str) -> None:
    said = coterie(tmp_path, "chat", "--verbose", "--config", config, stdin="x\n")
    assert all(heading in said.stdout for heading in ("candidates", "ballots", "ranking", FUSED))


def test_an_interrupt_ends_a_chat_that_waits_for_words(tmp_path: Path) -> None:
    config = simple(tmp_path / "c.json", "Paris")
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover - the child
        signal.signal(signal.SIGINT, signal.default_int_handler)
        command = [sys.executable, "-m", "coterie.cli.app", "chat", "--config", config]
        os.execve(sys.executable, command, environment())
    shown = b""
    ends = time.monotonic() + 15
    while b"> " not in shown and time.monotonic() < ends:
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 4096)
    assert b"> " in shown
    time.sleep(0.2)
    os.write(terminal, b"\x03")
    status: int | None = None
    while status is None and time.monotonic() < ends:
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:  # the other end is closed
                time.sleep(0.01)
        done, code = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if done else None
    os.close(terminal)
    if status is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert status == 130, shown
    assert b"Traceback" not in shown


# ---- configuration, members, methods ----------------------------------------------------------


def test_config_check(tmp_path: Path, config: str, server: FaultServer) -> None:
    said = coterie(tmp_path, "config", "check", config)
    assert (said.status, said.stdout) == (0, f"{config}: 3 members, 2 methods, no fault found\n")
    answer = coterie(tmp_path, "config", "check", "--json", config).json
    assert answer == {"ok": True, "file": config, "members": list(GOOD), "methods": ["default", "vote"]}
    assert coterie(tmp_path, "config", "check", "-c", config).stdout == said.stdout
    twice = coterie(tmp_path, "config", "check", config, "--config", "other.yaml")
    assert (twice.status, twice.stdout) == (2, "")
    assert "one file is checked" in twice.stderr
    assert server.connections == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("members: {a: {engine: openia, model: x}}", ["bad.yaml:1", "members.a.engine", "openai"]),
        ("members:\n  a: {engine: openai, model: x, base_url: 'http://x/v1', timeout: 3}", [":2", "timeout_s"]),
        ("members: {a: {engine: openai, model: x, base_url: x}}", ["http://"]),
        ("members: {a: {engine: openai, model: x, base_url: 'http://x', api_key: '${NO_SUCH}'}}", ["'NO_SUCH'"]),
        ("members: [", ["YAML"]),
        ("membres: {}", ["members"]),
        ("", ["members"]),
        ("members: {a: {engine: scripted, replies: [x]}}\nmethods: {m: {kind: vote, members: [b]}}", [":2", "'b'"]),
    ],
)
def test_config_check_says_what_is_wrong_and_where(tmp_path: Path, text: str, says: list[str]) -> None:
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    said = coterie(tmp_path, "config", "check", "--json", "bad.yaml")
    assert said.status == 2
    assert said.json["ok"] is False
    assert said.stderr.startswith("coterie: bad.yaml")
    for words in says:
        assert words in said.stderr
        assert words in said.json["error"]


def test_config_schema_is_a_schema_that_the_named_settings_stand_in(tmp_path: Path) -> None:
    schema = coterie(tmp_path, "config", "schema").json
    assert {"members", "methods", "limits", "cache"} <= set(schema["properties"])
    text = json.dumps(schema)
    for setting in ("base_url", "timeout_s", "max_concurrency", "deadline_s", "quorum", "grace_s", "peer_blend"):
        assert f'"{setting}"' in text


def test_members(tmp_path: Path, config: str, server: FaultServer) -> None:
    table = coterie(tmp_path, "members", "--config", config)
    listed = coterie(tmp_path, "members", "--json", "--config", config).json
    assert table.status == 0
    assert all(name in table.stdout for name in GOOD)
    assert [(m["name"], m["engine"], m["model"], m["ballot"]) for m in listed] == [
        (name, "openai", name, "text") for name in GOOD
    ]
    assert listed[0]["price"]["output_usd"] == 2
    assert server.connections == 0


def test_members_of_the_embedded_committee_before_its_models_are_here(tmp_path: Path) -> None:
    said = coterie(tmp_path, "members", "--json", env={"COTERIE_MODELS": str(tmp_path / "empty")})
    assert said.status == 0, said.stderr
    assert {member["engine"] for member in said.json} == {"llama_cpp"}


def test_a_local_model_that_is_not_here_is_a_failure_of_its_own(tmp_path: Path) -> None:
    members = {
        "local": {"engine": "llama_cpp", "model": str(tmp_path / "absent.gguf")},
        "other": {"engine": "scripted", "replies": ["Paris"]},
    }
    made = {"members": members, "methods": {"default": {"kind": "vote", "members": list(members)}}}
    said = coterie(tmp_path, "ask", "--json", "--config", write(tmp_path / "c.json", made), "x")
    assert said.status == 0, said.stderr
    assert said.json["answer"] == "Paris"
    assert [(f["member"], f["kind"]) for f in said.json["failures"]] == [("local", "unavailable")]


def test_no_command_prints_a_key(tmp_path: Path, config: str) -> None:
    secret = {"ANN_KEY": "sk-from-the-environment"}
    file = tmp_path / "t.jsonl"
    said = [
        coterie(tmp_path, *arguments, env=secret)
        for arguments in (
            ("members", "--config", config),
            ("members", "--json", "--config", config),
            ("methods", "--json", "--config", config),
            ("config", "check", "--json", config),
            ("ask", "--json", "--config", config, "--trace", str(file), "x"),
            ("trace", "show", "--json", str(file)),
        )
    ]
    assert all(one.status == 0 for one in said)
    everything = "".join(one.stdout + one.stderr for one in said) + file.read_text(encoding="utf-8")
    assert "sk-from-the-environment" not in everything


def test_methods(tmp_path: Path, config: str) -> None:
    table = coterie(tmp_path, "methods", "--config", config)
    listed = coterie(tmp_path, "methods", "--json", "--config", config).json
    assert table.status == 0
    assert set(listed["methods"]) == {"default", "vote"}
    assert listed["methods"]["default"]["aggregator"] == "bob"
    assert {"best_of", "vote", "rank_and_fuse", "peer_blend"} <= set(listed["kinds"])
    assert all(kind in table.stdout for kind in listed["kinds"])


# ---- local models -----------------------------------------------------------------------------


def test_models_list_path_remove_on_an_empty_shelf(tmp_path: Path) -> None:
    shelf = {"COTERIE_MODELS": str(tmp_path / "shelf")}
    listed = coterie(tmp_path, "models", "list", "--json", env=shelf).json
    assert {"smollm2-135m-instruct", "gemma-3-270m"} <= {model["name"] for model in listed}
    assert all(model["path"] is None for model in listed)
    [gemma] = [model for model in listed if model["name"] == "gemma-3-270m"]
    assert gemma["needs_consent"]
    assert gemma["terms"]
    table = coterie(tmp_path, "models", "list", env=shelf).stdout
    assert "not pulled" in table
    assert "gemma-3-270m: " in table
    absent = coterie(tmp_path, "models", "path", "smollm2-135m-instruct", env=shelf)
    assert absent.status == 1
    assert "pull" in absent.stderr
    removed = coterie(tmp_path, "models", "remove", "smollm2-135m-instruct", env=shelf)
    assert (removed.status, removed.stdout) == (0, "smollm2-135m-instruct was not here\n")
    as_json = coterie(tmp_path, "models", "remove", "--json", "smollm2-135m-instruct", env=shelf).json
    assert as_json == {"name": "smollm2-135m-instruct", "removed": False}


@pytest.mark.parametrize("command", ["path", "pull", "remove"])
def test_a_model_nobody_knows_is_named_with_those_there_are(tmp_path: Path, command: str) -> None:
    said = coterie(tmp_path, "models", command, "gpt-17", env={"COTERIE_MODELS": str(tmp_path)})
    assert said.status != 0
    assert "'gpt-17'" in said.stderr
    assert "smollm2-135m-instruct" in said.stderr
    assert "Traceback" not in said.stderr


def test_gemma_is_not_pulled_without_consent(tmp_path: Path) -> None:
    for flags in ((), ("--decline-terms",)):
        said = coterie(tmp_path, "models", "pull", "gemma-3-270m", *flags, env={"COTERIE_MODELS": str(tmp_path)})
        assert said.status != 0
        assert "terms" in said.stderr
        assert "Traceback" not in said.stderr
    assert list(tmp_path.glob("*.gguf")) == []


# ---- traces -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recorded:
    file: str
    answer: Json


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A peer blend with one failed member, recorded; its server has stopped."""
    folder = tmp_path_factory.mktemp("recorded")
    scripts: dict[str, Script] = {name: scripted(text) for name, text in GOOD.items()}
    with FaultServer({**scripts, "odd": Reply(status=400)}) as server:
        members = {name: {"engine": "openai", "base_url": server.base_url, "model": name} for name in (*GOOD, "odd")}
        method = {"kind": "peer_blend", "members": list(members), "top_k": 2, "aggregator": "bob"}
        config = write(folder / "c.json", {"members": members, "methods": {"default": method}})
        file = folder / "run.jsonl"
        said = coterie(folder, "ask", "--json", "--config", config, "--trace", str(file), QUESTION)
    assert said.status == 0, said.stderr
    return Recorded(str(file), said.json)


def test_trace_show_draws_the_run(tmp_path: Path, recorded: Recorded) -> None:
    shown = coterie(tmp_path, "trace", "show", recorded.file).stdout
    for words in (
        QUESTION,
        "critical path",
        "candidates",
        "ballots",
        "ranking",
        "answer (bob)",
        FUSED,
        "bill",
        "total",
    ):
        assert words in shown
    assert f"id {recorded.answer['id']}" in shown.splitlines()[0]
    assert "http: HTTP 400" in shown
    assert "█" in shown
    assert re.search(r"^ *\* +k\d+ +bob +fuse", shown, re.MULTILINE), "the fuser's call is not marked as critical"


def test_trace_show_in_json(tmp_path: Path, recorded: Recorded) -> None:
    shown = coterie(tmp_path, "trace", "show", "--json", recorded.file).json
    assert (shown["id"], shown["status"], shown["question"]) == (recorded.answer["id"], "answered", QUESTION)
    assert len(shown["calls"]) == 8
    assert [call["stage"] for call in shown["calls"] if call["critical"]] == ["generate", "review", "fuse"]
    assert shown["bill"]["total"]["calls"] == 8
    assert shown["bill"]["total"]["cost_usd"] is None
    assert len(shown["candidates"]) == 4


def test_replay_gives_the_same_answer_without_a_call(tmp_path: Path, recorded: Recorded) -> None:
    again = coterie(tmp_path, "trace", "replay", "--json", recorded.file).json
    for key in ("answer", "how", "author", "candidates", "ranking", "failures", "parents"):
        assert again[key] == recorded.answer[key], key
    assert said_by(again) == said_by(recorded.answer)
    assert again["usage"]["calls"] == 0


def said_by(answer: Json) -> list[Json]:
    """The judgements without the ids of their calls, which are numbered as reviews happened to begin."""
    return [{key: value for key, value in said.items() if key != "calls"} for said in answer["judgements"]]


def test_replay_under_another_rule_judge_or_k(tmp_path: Path, recorded: Recorded) -> None:
    def replayed(*options: str) -> Json:
        said = coterie(tmp_path, "trace", "replay", "--json", *options, recorded.file)
        assert said.status == 0, said.stderr
        assert said.json["usage"]["calls"] == 0
        return said.json

    by_mean = replayed("--rule", "mean", "--top-k", "1")
    assert (by_mean["ranking"]["rule"], by_mean["answer"], by_mean["how"]) == ("mean", GOOD["ann"], "ranked")
    by_length = replayed("--judge", "length", "--top-k", "1")
    assert by_length["answer"] == GOOD["cyd"]
    assert {judgement["judge"] for judgement in by_length["judgements"]} == {"length"}


def test_a_replay_that_would_have_to_ask_falls_back_openly(tmp_path: Path, recorded: Recorded) -> None:
    said = coterie(tmp_path, "trace", "replay", "--json", "--judge", "length", recorded.file)
    assert said.status == 0
    assert (said.json["answer"], said.json["how"]) == (GOOD["cyd"], "ranked")
    assert any("the fuser (bob) failed" in note for note in said.json["notes"])


def test_a_replay_can_be_traced_and_replayed(tmp_path: Path, recorded: Recorded) -> None:
    file = tmp_path / "again.jsonl"
    plain = coterie(tmp_path, "trace", "replay", "--trace", str(file), recorded.file)
    assert FUSED in plain.stdout
    assert Trace.load(file).finished is not None
    assert coterie(tmp_path, "trace", "replay", "--json", str(file)).json["answer"] == FUSED


@pytest.mark.parametrize("options", [("--rule", "no_such"), ("--judge", "no_such"), ("--top-k", "0"), ("--top-k", "x")])
def test_a_replay_that_cannot_be_is_bad_usage(tmp_path: Path, recorded: Recorded, options: tuple[str, ...]) -> None:
    said = coterie(tmp_path, "trace", "replay", *options, recorded.file)
    assert said.status == 2
    assert "Traceback" not in said.stderr


def test_a_replay_of_no_answer_has_none_either(tmp_path: Path) -> None:
    config = simple(tmp_path / "c.json", {"text": "", "fail": "http", "error": "down"})
    assert coterie(tmp_path, "ask", "--config", config, "--trace", "t.jsonl", "x").status == 1
    said = coterie(tmp_path, "trace", "replay", "--json", "t.jsonl")
    assert said.status == 1
    assert said.json["answer"] is None
    assert [failure["member"] for failure in said.json["failures"]] == ["m0"]
    assert "down" in said.stderr


@pytest.mark.parametrize("text", ["", "{}", "no trace", '{"event": "run_started"}', "\ud800"])
@pytest.mark.parametrize("command", ["show", "replay"])
def test_what_is_no_trace_is_named(tmp_path: Path, command: str, text: str) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    said = coterie(tmp_path, "trace", command, str(file))
    assert said.status == 1
    assert "broken.jsonl" in said.stderr
    assert "Traceback" not in said.stderr
    assert coterie(tmp_path, "trace", command, "absent.jsonl").status == 1


# ---- init -------------------------------------------------------------------------------------


def members_in(said: Said) -> dict[str, str]:
    return {member["name"]: member["where"] for member in said.json["members"]}


def nowhere() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{found.getsockname()[1]}"


def init(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> Said:
    absent = nowhere()
    given = ["--ollama", absent] if "--ollama" not in options else []
    given += ["--vllm", absent] if "--vllm" not in options else []
    return coterie(folder, "init", "--json", *given, *options, env={"COTERIE_MODELS": str(folder), **(env or {})})


def test_init_finds_a_server_and_what_it_writes_works(tmp_path: Path, server: FaultServer) -> None:
    said = init(tmp_path, "--vllm", server.base_url.removesuffix("/v1"))
    assert said.status == 0
    assert {"vllm-ann", "vllm-bob", "vllm-cyd"} <= set(members_in(said))
    text = (tmp_path / "coterie.yaml").read_text(encoding="utf-8")
    assert "# " in text
    assert "peer_blend" in text
    assert coterie(tmp_path, "config", "check").status == 0
    listed = list(members_in(said))
    # the local models would have to be fetched, so only the server's are asked
    three = [name for name in listed if name.startswith("vllm-")]
    made = text.replace(json.dumps(listed), json.dumps(three))
    (tmp_path / "coterie.yaml").write_text(made, encoding="utf-8")
    asked = coterie(tmp_path, "ask", "--json", "--method", "vote", QUESTION)
    assert {candidate["text"] for candidate in asked.json["candidates"]} == set(GOOD.values())


def test_init_finds_two_servers(tmp_path: Path, server: FaultServer) -> None:
    with FaultServer({"llama3.2:1b": Reply(), "llama3.2-1b": Reply(), "org/model name": Reply()}) as other:
        said = init(
            tmp_path,
            "--vllm",
            server.base_url.removesuffix("/v1"),
            "--ollama",
            other.base_url.removesuffix("v1"),
        )
        assert said.status == 0
    names = members_in(said)
    assert sum(name.startswith("ollama-") for name in names) == 3
    assert sum(name.startswith("vllm-") for name in names) == 3
    checked = coterie(tmp_path, "config", "check")
    assert checked.status == 0, checked.stderr
    text = (tmp_path / "coterie.yaml").read_text(encoding="utf-8")
    assert all(f'model: "{model}"' in text for model in ("llama3.2:1b", "llama3.2-1b", "org/model name"))


def test_init_finds_keys_and_writes_none_of_them(tmp_path: Path) -> None:
    keys = {"OPENAI_API_KEY": "sk-secret-one", "GROQ_API_KEY": "gsk-secret-two", "MISTRAL_API_KEY": ""}
    said = init(tmp_path, env=keys)
    assert {"openai", "groq"} <= set(members_in(said))
    assert "mistral" not in members_in(said)
    text = (tmp_path / "coterie.yaml").read_text(encoding="utf-8")
    assert "secret" not in text + said.stdout
    assert "${OPENAI_API_KEY}" in text
    assert coterie(tmp_path, "config", "check", env=keys).status == 0
    without = coterie(tmp_path, "config", "check")
    assert without.status == 2
    assert "_API_KEY" in without.stderr


def test_init_with_nothing_around_writes_the_local_committee(tmp_path: Path) -> None:
    said = init(tmp_path)
    assert set(members_in(said).values()) == {"runs on this machine"}
    assert coterie(tmp_path, "config", "check").status == 0


def test_init_overwrites_only_by_force(tmp_path: Path) -> None:
    file = tmp_path / "coterie.yaml"
    file.write_text("mine", encoding="utf-8")
    refused = init(tmp_path)
    assert refused.status == 2
    assert "--force" in refused.stderr
    assert file.read_text(encoding="utf-8") == "mine"
    assert init(tmp_path, "--force").status == 0
    assert "peer_blend" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "greeting", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b""]
)
def test_init_passes_over_a_port_that_speaks_something_else(tmp_path: Path, greeting: bytes) -> None:
    def greet(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=greet, args=(listener,))
        thread.start()
        said = init(tmp_path, "--vllm", f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join(5)
    assert said.status == 0, said.stderr
    assert set(members_in(said).values()) == {"runs on this machine"}


def test_init_in_plain_words(tmp_path: Path) -> None:
    absent = nowhere()
    said = coterie(tmp_path, "init", "here.yaml", "--ollama", absent, "--vllm", absent)
    assert said.status == 0
    assert "wrote here.yaml" in said.stdout
    assert (tmp_path / "here.yaml").is_file()
    assert coterie(tmp_path, "init", "no/folder/x.yaml", "--ollama", absent, "--vllm", absent).status == 2
    assert coterie(tmp_path, "init", "y.yaml", "--ollama", "localhost:1", "--vllm", absent).status == 2
