"""What protects a configuration's signal path, and what is left unprotected: for `edge check` and `edge doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zmq

from edge.commands.finding import Finding
from edge.config import GatewayConfig, StationConfig
from edge.config.line import ControlConfig, stays_on_host
from edge.errors import ConfigError, EdgeError
from edge.wire.allow import read_allowed
from edge.wire.keys import ClientKeys, client_keys, read_secret
from edge.wire.sockets import HANDSHAKE_MS, unbound
from edge.wire.unix import is_open

_OTHERS = 0o007
_ALL_ADDRESSES = ("tcp://*:", "tcp://0.0.0.0:", "tcp://[::]:")
_PATIENCE_MS = 1000 + HANDSHAKE_MS


@dataclass(frozen=True)
class Gap:
    """Something that is open to more than it need be."""

    what: str
    detail: str
    remedy: str


def signal_path(config: StationConfig | GatewayConfig) -> str:
    """Return in words what decides who may speak on the signal path; keys are read, as the process will.

    Raises:
        ConfigError: a key or the allow-list cannot be used, or lets nobody in.
    """
    security = config.security
    if isinstance(config, StationConfig):
        endpoint = config.gateway.endpoint
        if endpoint is None:
            return "none: nothing is permitted"
        keys = client_keys(security)
        return f"{endpoint}: CURVE, key {keys.own.public}" if keys else f"{endpoint}: the file's permissions"
    if security.key is None or security.allow is None:
        return f"{config.bind}: file mode {security.ipc_mode}"
    own = read_secret(Path(security.key)).public
    stations = sorted(b.station for b in read_allowed(Path(security.allow)).bindings if b.lane == config.lane)
    if not stations:
        raise ConfigError(
            f"{security.allow} lets nobody speak on lane {config.lane}.", "add keys by `edge keys allow`."
        )
    return f"{config.bind}: CURVE, key {own}; may speak: {', '.join(stations)}"


def gaps(config: StationConfig | GatewayConfig) -> Iterator[Gap]:
    """Yield what is unprotected, or open to more than it need be."""
    yield from _control(config.control)
    yield from _folders(config)
    if isinstance(config, StationConfig):
        return
    mode = config.security.ipc_mode
    if config.bind.startswith("ipc://") and int(mode, 8) & _OTHERS:
        yield Gap("socket file", f"security.ipc_mode {mode} lets every user of this host speak", 'use "0660" or "0600"')
    if config.bind.startswith(_ALL_ADDRESSES):
        yield Gap(
            "bind address", f"{config.bind} listens on every network", "name the address of the line's own network"
        )
    if not stays_on_host(f"tcp://{config.plc.host}:{config.plc.port}"):
        yield Gap(
            "PLC link",
            "Modbus has no protection: whoever reaches the PLC can open the gate",
            "its own VLAN, and the PLC's allow-list of addresses (SECURITY.md)",
        )


def _control(control: ControlConfig) -> Iterator[Gap]:
    if control.path is not None and int(control.mode, 8) & _OTHERS:
        yield Gap("control socket", f"control.mode {control.mode} lets every user of this host command", 'use "0660"')


def _folders(config: StationConfig | GatewayConfig) -> Iterator[Gap]:
    signal = config.gateway.endpoint if isinstance(config, StationConfig) else config.bind
    ends = [end for end in (signal, config.telemetry.endpoint) if end is not None and end.startswith("ipc://")]
    paths = [end.removeprefix("ipc://") for end in ends]
    found = [path for path in (*paths, config.control.path) if path is not None and is_open(Path(path))]
    if found:
        detail = f"every user of this host may put his own in the place of {', '.join(found)}"
        yield Gap("socket folder", detail, "use a folder of the service's own, such as /run/edge")


def handshake(endpoint: str, keys: ClientKeys) -> str:
    """Connect to a gateway by its keys, and hang up.

    Returns:
        "" where it let us in, or what kept us out.
    """
    with zmq.Context[zmq.Socket[bytes]]() as context, unbound(context, zmq.DEALER) as socket:
        socket.set(zmq.CURVE_SERVERKEY, keys.server.encode())
        socket.set(zmq.CURVE_PUBLICKEY, keys.own.public.encode())
        socket.set(zmq.CURVE_SECRETKEY, keys.own.secret.encode())
        events = zmq.EVENT_CONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        events |= zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        monitor = socket.get_monitor_socket(int(events))
        try:
            socket.set(zmq.IPV6, int("[" in endpoint))
            socket.connect(endpoint)
            while monitor.poll(_PATIENCE_MS):
                event = zmq.Event(int.from_bytes(monitor.recv_multipart()[0][:2], "little"))
                if event != zmq.EVENT_CONNECTED:
                    return _OUTCOMES[event]
            return "nobody answers"
        finally:
            socket.disable_monitor()
            monitor.close()


def examine(path: Path, config: StationConfig | GatewayConfig) -> Iterator[Finding]:
    """Whether keys can be used, and the gateway takes them; and what is open to more than it need be."""
    name = f"{path}: signal path"
    try:
        yield Finding(name, "ok", signal_path(config))
        if isinstance(config, StationConfig) and (keys := client_keys(config.security)) is not None:
            yield _let_in(f"{path}: gateway", str(config.gateway.endpoint), keys)
    except EdgeError as error:
        yield Finding(name, "fail", error.problem, error.remedy)
    for gap in gaps(config):
        yield Finding(f"{path}: {gap.what}", "warn", gap.detail, gap.remedy)


def _let_in(name: str, endpoint: str, keys: ClientKeys) -> Finding:
    trouble = handshake(endpoint, keys)
    if trouble:
        return Finding(name, "warn", f"{endpoint}: {trouble}", "start the gateway; its log names whom it refuses")
    return Finding(name, "ok", f"{endpoint} lets us in")


_OUTCOMES = {
    zmq.EVENT_HANDSHAKE_SUCCEEDED: "",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "it does not know our key (`edge keys allow` at the gateway, for this lane)",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "it uses no keys",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "security.server_key is not its key, or it is no gateway",
}
