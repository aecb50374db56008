"""A client of i-PI's socket protocol: i-PI sends positions, the client answers with energy, forces and virial.

Messages are 12 characters, numbers are native float64 and int32. A server that announces `batch_size:N` in its INIT
message sends N structures at a time (Kapil et al. 2019, doi:10.1016/j.cpc.2018.09.020; the batches are i-PI 3.3's).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from ase import Atoms

from painn_ase.engines.ipi.potential import Answer, Potential
from painn_ase.errors import InputError

_HEADER = 12
UNIX_PREFIX = "/tmp/ipi_"  # where i-PI makes the sockets of mode='unix'


def serve(
    atoms: Atoms,
    *,
    unix: str | None = None,
    host: str = "localhost",
    port: int = 31415,
    extras: tuple[str, ...] = (),
    patience: float = 60.0,
    report: Callable[[str], Any] = lambda text: None,
) -> int:
    """The number of structures evaluated for an i-PI server, until it says goodbye.

    i-PI sends no symbols, so the order of the atoms must be that which i-PI was initialised with.

    atoms: the structure with its calculator
    unix: name of the UNIX socket /tmp/ipi_<name>, or its path
    host, port: of the internet socket that is used otherwise
    extras: further properties to send, see `Potential`
    patience: how long to try to connect, in s
    report: called with a line of text now and then

    Raises `InputError` when nobody listens there.
    """
    potential = Potential(atoms, extras)
    where = f"{host}:{port}" if unix is None else unix if "/" in unix else UNIX_PREFIX + unix
    with _connected(unix is not None, where, host, port, patience) as connection:
        report(f"connected to i-PI at {where}")
        session = _Session(connection, potential)
        with suppress(EOFError, ConnectionError):  # the server has closed the connection
            while session.answer():
                pass
    report(f"i-PI has finished; {session.count} structures evaluated")
    return session.count


def _connected(unix: bool, where: str, host: str, port: int, patience: float) -> socket.socket:
    deadline = time.monotonic() + patience
    while True:
        connection = socket.socket(socket.AF_UNIX if unix else socket.AF_INET, socket.SOCK_STREAM)
        try:
            if not unix:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect(where if unix else (host, port))
            return connection
        except OSError as error:
            connection.close()
            if time.monotonic() > deadline:
                raise InputError(
                    f"no i-PI server answers at {where} ({error}); start `i-pi input.xml` first, with the same address "
                    "in its <ffsocket>"
                ) from None
            time.sleep(0.1)


class _Session:
    """One connection: what the server was told, and what it is still to get."""

    def __init__(self, connection: socket.socket, potential: Potential) -> None:
        self._connection, self._stream, self._potential = connection, connection.makefile("rb"), potential
        self._batch = 0  # structures per message; 0 until INIT
        self._answers: list[Answer] = []
        self.count = 0

    def answer(self) -> bool:
        """Answers one message; False after the last one."""
        message = self._receive(_HEADER).decode("ascii", "replace").strip()
        if message == "STATUS":
            status = "NEEDINIT" if not self._batch else "HAVEDATA" if self._answers else "READY"
            self._send(status)
        elif message == "INIT":
            self._initialise()
        elif message == "POSDATA":
            self._evaluate()
        elif message == "GETFORCE":
            self._deliver()
        elif message == "EXIT":
            return False
        else:
            raise InputError(f"unexpected message {message!r}; is it an i-PI server that listens there?")
        return True

    def _initialise(self) -> None:
        _, length = np.frombuffer(self._receive(8), np.int32)
        words = self._receive(int(length)).decode("utf-8", "replace").split(",")
        settings = dict(word.split(":", 1) for word in words if ":" in word)
        self._batch = int({key.strip(): value for key, value in settings.items()}.get("batch_size", "1"))

    def _evaluate(self) -> None:
        n = max(self._batch, 1)
        if n == 1:  # cell, its inverse, number of atoms; in batches the number comes first
            cells = self._numbers(18).reshape(1, 2, 3, 3)
            atoms = self._whole()
        else:
            atoms = self._whole()
            cells = self._numbers(18 * n).reshape(n, 2, 3, 3)
        positions = self._numbers(3 * atoms * n).reshape(n, atoms, 3)
        self._answers = self._potential(cells[:, 0], positions)
        self.count += n

    def _deliver(self) -> None:
        answers, self._answers = self._answers, []
        texts = [answer.extras.encode() for answer in answers]
        numbers: list[Any] = [
            [answer.energy for answer in answers],
            np.int32(self._potential.size),
            [answer.forces for answer in answers],
            [answer.virial.T for answer in answers],
        ]
        message = b"".join(np.asarray(one).tobytes() for one in numbers)
        message += b"".join(np.int32(len(text)).tobytes() + text for text in texts)
        self._connection.sendall(b"FORCEREADY".ljust(_HEADER) + message)

    def _send(self, message: str) -> None:
        self._connection.sendall(message.encode("ascii").ljust(_HEADER))

    def _whole(self) -> int:
        return int(np.frombuffer(self._receive(4), np.int32)[0])

    def _numbers(self, count: int) -> np.ndarray:
        return np.frombuffer(self._receive(8 * count), np.float64)

    def _receive(self, size: int) -> bytes:
        found = self._stream.read(size)
        if len(found) < size:
            raise EOFError
        return found
