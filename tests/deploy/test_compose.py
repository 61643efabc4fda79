"""The monitoring's containers: pinned, confined, without a secret, and with every file that they mount."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support_prometheus import DEPLOY, load_yaml
from tests.support_tools import lack

COMPOSE = DEPLOY / "compose.yaml"
CONFIG = load_yaml(COMPOSE)
SERVICES: dict[str, dict[str, Any]] = CONFIG["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_and_confined(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"]), service["image"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].partition(":")[0] not in {"", "0", "root"}
    assert service["restart"] == "unless-stopped"
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["logging"]["options"]["max-size"]
    check = service["healthcheck"]
    assert check["test"][0] == "CMD"
    assert check.keys() == {"test", "interval", "timeout", "retries", "start_period"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_listens_on_loopback_only(name: str) -> None:
    service = SERVICES[name]
    assert service["network_mode"] == "host"
    assert "ports" not in service
    words = [*service.get("command", []), *service.get("environment", {}).values()]
    listening = [word for word in words if "listen-address" in word or word == "127.0.0.1"]
    assert listening
    assert all("127.0.0.1" in word or word == "--cluster.listen-address=" for word in listening)


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_exists_and_cannot_be_changed(name: str) -> None:
    for mount in SERVICES[name]["volumes"]:
        source, target, *mode = mount.split(":")
        if source.startswith("./"):
            assert (DEPLOY / source).exists(), source
            assert mode == ["ro"]
        else:
            assert source in CONFIG["volumes"], source
        assert target.startswith("/")


def test_every_volume_and_secret_is_used() -> None:
    mounted = {mount.partition(":")[0] for service in SERVICES.values() for mount in service["volumes"]}
    assert CONFIG["volumes"].keys() <= mounted
    assert {secret for service in SERVICES.values() for secret in service.get("secrets", [])} == CONFIG[
        "secrets"
    ].keys()


def test_there_is_no_secret_in_it() -> None:
    for name, secret in CONFIG["secrets"].items():
        assert secret == {"file": f"${{EDGE_SECRETS:-/etc/edge/monitoring}}/{name}"}
    for path in (COMPOSE, DEPLOY / "alertmanager" / "alertmanager.yml", *(DEPLOY / "grafana").rglob("*.yml")):
        for line in re.sub(r" #.*", "", path.read_text(encoding="utf-8")).splitlines():
            found = re.search(r"(?i)\b\w*(password|token|secret)(\w*): *(\S+)", line)
            assert found is None or "/run/secrets/" in line or "EDGE_SECRETS" in line or "secrets: [" in line, line


def test_the_paths_agree_with_the_configuration() -> None:
    alertmanager = load_yaml(DEPLOY / "alertmanager" / "alertmanager.yml")
    assert alertmanager["global"]["smtp_auth_password_file"] == "/run/secrets/smtp_password"
    targets = {mount.split(":")[1] for mount in SERVICES["alertmanager"]["volumes"]}
    assert set(alertmanager["templates"]) <= targets
    provider = load_yaml(DEPLOY / "grafana" / "provisioning" / "dashboards" / "edge.yml")["providers"][0]
    targets = {mount.split(":")[1] for mount in SERVICES["grafana"]["volumes"]}
    assert provider["options"]["path"] in targets
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/fleet.json"
    assert (DEPLOY / "grafana" / "dashboards" / "fleet.json").exists()


@pytest.mark.deploy
def test_compose_understands_it(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        words, path = [docker, "compose"], COMPOSE
    elif shutil.which("docker-compose"):  # Debian's, of before the key `name`
        words, path = ["docker-compose"], tmp_path / "compose.yaml"
        path.write_text(re.sub(r"(?m)^name: .*$", "", COMPOSE.read_text(encoding="utf-8")))
    else:
        lack("docker compose is missing: apt-get install docker-compose")
    done = subprocess.run([*words, "--file", str(path), "config"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in SERVICES:
        assert f"  {name}:" in done.stdout
