"""The files in `deploy/` hold: their linters say so, and what they name of ours is there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from coterie import __version__, config
from coterie.cli import app as cli
from coterie.config import Config
from coterie.errors import ConfigError
from coterie.gateway import serving
from coterie.gateway.keeping.journal import MOST_BYTES
from coterie.members.scripted import ScriptedMember
from gateway_server import GatewayServer

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent

CONTAINERFILE = DEPLOY / "Containerfile"
UNIT = DEPLOY / "coterie.service"
MANIFESTS = DEPLOY / "kubernetes.yaml"

WORST_EXPOSURE = 20
"""What `systemd-analyze security` may say of the unit, times ten: the end of "OK" is 49, of "safe" 19."""


def ran(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def tool(name: str) -> str:
    found = BIN / name
    if not found.exists():
        pytest.skip(f"{name} is not installed in this environment (pip install 'coterie[dev]')")
    return str(found)


# ---- linters ----------------------------------------------------------------------------------


def test_hadolint_has_nothing_to_say() -> None:
    done = ran(tool("hadolint"), str(CONTAINERFILE))
    assert done.returncode == 0, done.stdout + done.stderr


def systemd_analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not on this machine")
    return found


def test_systemd_takes_the_unit_with_the_command_where_it_is_here(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/coterie/bin/coterie", tool("coterie")))
    done = ran(systemd_analyze(), "verify", "--man=no", str(unit))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_hardened() -> None:
    security = (systemd_analyze(), "security", "--offline=true", f"--threshold={WORST_EXPOSURE}")
    done = ran(*security, str(UNIT))
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd is too old to look at a unit that is not loaded")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_kubernetes_takes_the_manifests(version: str) -> None:
    done = ran(tool("kubernetes-validate"), "--strict", "-k", version, str(MANIFESTS))
    assert done.returncode == 0, done.stdout + done.stderr


# ---- commands ---------------------------------------------------------------------------------


def unit_settings() -> list[tuple[str, str]]:
    lines = (line for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def instruction(name: str) -> str:
    """What the last `name` of the Containerfile says."""
    lines = [line for line in CONTAINERFILE.read_text().splitlines() if line.startswith(f"{name} ")]
    return lines[-1].removeprefix(f"{name} ")


def objects() -> dict[str, Any]:
    return {made["kind"]: made for made in yaml.safe_load_all(MANIFESTS.read_text())}


def pod() -> Any:
    return objects()["Deployment"]["spec"]["template"]["spec"]


def container() -> Any:
    [only] = pod()["containers"]
    return only


def unit_commands() -> list[list[str]]:
    begun = [shlex.split(value) for name, value in unit_settings() if name.startswith("Exec")]
    return [words[1:] for words in begun if words[0].endswith("/coterie")]


def unit_serve() -> list[str]:
    [found] = [words for words in unit_commands() if words[0] == "serve"]
    return found


def commands() -> dict[str, list[str]]:
    said = {f"{UNIT.name} {' '.join(words[:2])}": words for words in unit_commands()}
    return {**said, "Containerfile": json.loads(instruction("CMD")), "kubernetes.yaml": container()["args"]}


def parsed(words: list[str]) -> dict[str, Any]:
    """The parameters that the command line reads in `words`. Raises what a user would be told."""
    command: Any = typer.main.get_command(cli.app)
    rest = list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    parameters: dict[str, Any] = command.make_context(command.name, rest).params
    return parameters


@pytest.mark.parametrize("where", commands())
def test_every_command_is_one_of_ours_and_reads_the_same_file(where: str) -> None:
    read = parsed(commands()[where])
    assert (read["config"] or read["file"]) == Path("/etc/coterie/coterie.yaml")


def test_they_tell_the_server_to_reload_with_the_signal_it_hears() -> None:
    assert ("ExecReload", "/bin/kill -HUP $MAINPID") in unit_settings()
    assert instruction("STOPSIGNAL") == "SIGTERM"


def test_a_stop_waits_for_the_requests_under_way() -> None:
    unit, args = parsed(unit_serve()), parsed(container()["args"])
    assert int(dict(unit_settings())["TimeoutStopSec"]) > unit["notice_s"] + unit["drain_s"]
    assert pod()["terminationGracePeriodSeconds"] > args["notice_s"] + args["drain_s"]
    assert args["drain_s"] > configured().limits.deadline_s


def test_a_balancer_hears_of_the_end_before_connections_are_refused() -> None:
    probe = container()["readinessProbe"]
    assert parsed(container()["args"])["notice_s"] > probe["periodSeconds"] + probe["timeoutSeconds"]


# ---- addresses --------------------------------------------------------------------------------


def test_every_port_is_the_one_that_is_served() -> None:
    served = parsed(commands()["Containerfile"])["port"]
    assert int(instruction("EXPOSE")) == served
    assert f"'127.0.0.1', {served}," in instruction("HEALTHCHECK")
    assert container()["ports"] == [{"name": "http", "containerPort": parsed(container()["args"])["port"]}]
    assert objects()["Service"]["spec"]["ports"][0]["targetPort"] == "http"


@pytest.fixture(scope="module")
def server() -> Iterator[GatewayServer]:
    with GatewayServer(Config({"a": ScriptedMember("a", ("x",))})) as running:
        yield running


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_every_probe_is_answered(probe: str, server: GatewayServer) -> None:
    asked = container()[probe]["httpGet"]
    assert asked["port"] == "http"
    with urllib.request.urlopen(server.url + asked["path"], timeout=5) as answer:
        assert answer.status == 200


def test_the_health_check_tells_a_server_from_none(server: GatewayServer) -> None:
    command = json.loads(instruction("HEALTHCHECK").partition("CMD ")[2])
    assert command[0] == "python"
    port = str(parsed(commands()["Containerfile"])["port"])
    assert ran(sys.executable, *(word.replace(port, str(server.port)) for word in command[1:])).returncode == 0
    assert ran(sys.executable, *(word.replace(port, "1") for word in command[1:])).returncode != 0


# ---- configuration ----------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """The secrets that the container is told, with values of the right form."""
    values = {"STORE_URL": "postgresql://coterie:p%40ss@db/coterie", "APP_KEY_HASH": f"sha256:{64 * 'a'}"}
    return {entry["name"]: values.get(entry["name"], "secret") for entry in container()["env"] if "valueFrom" in entry}


def configured() -> Config:
    return config.loads(objects()["ConfigMap"]["data"]["coterie.yaml"], env=environment())


def test_the_configuration_holds_and_may_be_served_to_others() -> None:
    made = configured()
    assert made.store is not None
    assert made.store.url.reveal().startswith("postgresql://")
    serving.check_address(parsed(container()["args"])["host"], made)


@pytest.mark.parametrize("name", environment())
def test_it_does_not_start_without_a_secret(name: str) -> None:
    rest = {other: value for other, value in environment().items() if other != name}
    with pytest.raises(ConfigError, match=name):
        config.loads(objects()["ConfigMap"]["data"]["coterie.yaml"], env=rest)


def test_what_is_not_written_yet_outlives_the_container() -> None:
    [state] = [entry["value"] for entry in container()["env"] if entry["name"] == "XDG_STATE_HOME"]
    [room] = [volume["emptyDir"]["sizeLimit"] for volume in pod()["volumes"] if "emptyDir" in volume]
    [mount] = [mount["mountPath"] for mount in container()["volumeMounts"] if mount["name"] == "tmp"]
    assert Path(state).is_relative_to(mount)
    assert int(room.removesuffix("Mi")) << 20 > MOST_BYTES


def test_every_secret_is_taken_from_the_one_that_the_file_says_how_to_make() -> None:
    said = re.findall(r"--from-literal=([a-z-]+)=", MANIFESTS.read_text())
    taken = [entry["valueFrom"]["secretKeyRef"] for entry in container()["env"] if "valueFrom" in entry]
    assert [key["key"] for key in taken] == said
    assert {key["name"] for key in taken} == {"coterie"}


# ---- the image --------------------------------------------------------------------------------


def test_what_is_copied_into_the_image_is_there_and_not_ignored() -> None:
    [copied] = re.findall(r"^COPY (?!--|src)(.*) \./$", CONTAINERFILE.read_text(), re.MULTILINE)
    sent = {line[1:] for line in (DEPLOY / "Containerfile.dockerignore").read_text().splitlines() if line[0] == "!"}
    assert sent == {*copied.split(), "src"}
    assert all((ROOT / name).exists() for name in sent)


def test_the_image_has_extras_that_there_are_on_a_python_that_is_supported() -> None:
    text, project = CONTAINERFILE.read_text(), (ROOT / "pyproject.toml").read_text()
    [extras] = re.findall(r"^ARG EXTRAS=([a-z,]+)$", text, re.MULTILINE)
    assert extras.split(",") == ["gateway", "store", "postgres"]
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras.split(","))
    [python] = re.findall(r"python:(3\.\d+)-slim", text)
    assert f'"Programming Language :: Python :: {python}"' in project


def test_nobody_runs_as_root() -> None:
    user, group = (int(number) for number in instruction("USER").split(":"))
    context = pod()["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (user, group, group)
    assert user > 0
    assert ("DynamicUser", "yes") in unit_settings()


def test_the_image_is_of_this_version_and_the_selectors_find_their_pods() -> None:
    made = objects()
    assert container()["image"].endswith(f":{__version__}")
    labels = made["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [made[kind]["spec"]["selector"] for kind in ("Deployment", "Service", "PodDisruptionBudget")]
    assert [selector.get("matchLabels", selector) for selector in selectors] == [labels] * 3


def test_a_rollout_takes_nothing_away_before_its_successor_is_ready() -> None:
    spec = objects()["Deployment"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert objects()["PodDisruptionBudget"]["spec"]["minAvailable"] < spec["replicas"]
