"""Who can reach the monitor, and whether that was thought of.  Pure."""

from __future__ import annotations

import ipaddress

from edge.config import MonitorConfig
from edge.errors import ConfigError

_PROXY = "or serve on 127.0.0.1 behind a proxy"


def stays_on_host(host: str) -> bool:
    """True where no other host can reach what is served on ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name of this host
        return False


def warnings(config: MonitorConfig, users: bool) -> list[str]:
    """Return what its owner must know about who can reach a monitor, with the remedies.

    Args:
        config: of the monitor.
        users: somebody may log in.

    Raises:
        ConfigError: everything needs a login, and nobody has one.
    """
    if config.login == "everything" and not users:
        raise ConfigError(
            f"login = 'everything', and {config.users} has no user: nobody could look.",
            f"add one with `edge users add NAME --file {config.users}`.",
        )
    if stays_on_host(config.host):
        return []
    told = []
    if config.login != "everything":
        told.append(
            f"Everybody who reaches {config.host} sees all pictures and figures without a login. Remedy: name a file "
            f"of `users`, add some with `edge users add`, and set login = 'everything', {_PROXY} that asks for a login."
        )
    if config.certificate is None:
        told.append(
            f"What {config.host} serves, passwords included, can be read on the network. Remedy: set certificate and "
            f"key for HTTPS, {_PROXY} that encrypts."
        )
    return told
