"""Binding the control socket: for the group, never in the place of one that somebody answers on."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from sleepd.errors import SleepdError

SOCKET_MODE = 0o660
_MAX_PATH_BYTES = 107


def listen(path: Path) -> socket.socket:
    """A listening socket that does not block. Raises SleepdError naming the path and what is wrong with it."""
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise SleepdError(f"control socket path {path} is longer than {_MAX_PATH_BYTES} bytes", "set control.socket to a shorter path")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() or path.is_symlink():
        if _answers(path):
            raise SleepdError(f"another daemon answers on {path}", "stop it, or give this instance its own control.socket")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o777 & ~SOCKET_MODE)  # so that the socket is never open wider than meant, not even for an instant
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise SleepdError(
            f"cannot bind the control socket {path}: {error.strerror}", f"give this user write access to {path.parent}"
        ) from error
    finally:
        os.umask(old)
    listener.listen(128)  # a burst of callers waits in it; one beyond it is refused by the kernel
    listener.setblocking(False)
    return listener


def _answers(path: Path) -> bool:
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(2.0)
    try:
        probe.connect(str(path))
    except ConnectionRefusedError:
        return False  # left behind by a daemon that was killed
    except OSError as error:
        raise SleepdError(f"{path} is in the way of the control socket: {error.strerror}", f"move {path} away") from error
    else:
        return True
    finally:
        probe.close()
