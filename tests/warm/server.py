"""The warm server: imports what is heavy, then forks for every command that a launcher hands over, until its owner ends.

It runs no thread when it forks, and computes nothing. Where it ends, so do the commands.
"""

import gc
import os
import select
import shutil
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from warm import child, preload
from warm.request import Request, close, receive, why_no_fork

_SLOWEST_REQUEST_S = 10.0


@dataclass(frozen=True)
class Fork:
    """A command at work: its process, and the connection to its launcher."""

    pid: int
    ended: int
    connection: socket.socket


def main(folder: Path, listener: socket.socket, owner: int) -> None:
    """Serve until the owner has ended, then take the folder and the commands away.

    Args:
        folder: The warm environment.
        owner: Process id of the pytest for which this is.
    """
    environment = Path(os.readlink(folder / "real"))
    library_path = [entry for entry in sys.path if Path(entry).is_relative_to(sys.base_prefix) or "site-packages" in entry]
    own = dict(os.environ)
    preload.import_all()
    sys.path[:] = library_path
    server = Server(listener, os.pidfd_open(owner), own)
    request = server.next_request()
    if request is not None:
        child.run(request, environment, library_path)
    shutil.rmtree(folder, ignore_errors=True)


class Server:
    """The loop of the server; `next_request` comes back in every fork with what the fork is to do, and at the end with None."""

    def __init__(self, listener: socket.socket, owner_ended: int, own_environment: dict[str, str]) -> None:
        self.listener, self.owner_ended = listener, owner_ended
        self.own_environment = own_environment
        self.set_by_imports = {name: value for name, value in os.environ.items() if own_environment.get(name) != value}
        self.forks: dict[int, Fork] = {}
        self.poll = select.poll()
        for number in (listener.fileno(), owner_ended):
            self.poll.register(number, select.POLLIN)
        if os.fork() == 0:  # the threads of OpenBLAS end at the first fork, and start again in who computes
            os._exit(0)
        os.wait()
        gc.collect()
        gc.freeze()

    def next_request(self) -> Request | None:
        """Serve; in a fork, its request."""
        while True:
            number, _ = self.poll.poll()[0]  # one at a time: what it closes may be opened again under the same number
            if number == self.owner_ended:
                self._kill_all()
                return None
            request = self._accept() if number == self.listener.fileno() else self._follow(number)
            if request is not None:
                return request

    def _accept(self) -> Request | None:
        """Fork for a new command; None in the server."""
        connection, _ = self.listener.accept()
        connection.settimeout(_SLOWEST_REQUEST_S)
        try:
            connection.sendall(b"+")
            request = receive(connection)
        except OSError as error:
            print(f"a launcher went away: {error}", file=sys.stderr, flush=True)
            request = None
        pid = os.fork() if request and self._is_for_a_fork(request) else None
        if pid == 0:
            self._leave()
            connection.close()
            return request
        close(request.streams if request else [])
        with suppress(OSError):  # that the launcher is gone is seen in the next round
            connection.sendall((pid or 0).to_bytes(4, "big"))
        if pid:
            self._watch(pid, connection)
        else:
            connection.close()
        return None

    def _is_for_a_fork(self, request: Request) -> bool:
        try:
            reason = why_no_fork(request, self.own_environment, self.set_by_imports)
        except OSError as error:
            reason = f"launcher ended: {error}"
        if reason:
            print(f"{request.called} {request.words}: {reason}", file=sys.stderr, flush=True)
        return reason is None

    def _watch(self, pid: int, connection: socket.socket) -> None:
        fork = Fork(pid, os.pidfd_open(pid), connection)
        for number in (fork.ended, connection.fileno()):
            self.forks[number] = fork
            self.poll.register(number, select.POLLIN)

    def _follow(self, number: int) -> None:
        """A command has ended, which its launcher is told, or a launcher was killed, and its command ends with it."""
        fork = self.forks[number]
        if number == fork.ended:
            _, status = os.waitpid(fork.pid, 0)
            with suppress(OSError):
                fork.connection.sendall(status.to_bytes(4, "big"))
            self._forget(fork.ended)
            os.close(fork.ended)
        else:
            _kill(fork.pid)
        if fork.connection.fileno() in self.forks:
            self._forget(fork.connection.fileno())
            fork.connection.close()

    def _forget(self, number: int) -> None:
        del self.forks[number]
        self.poll.unregister(number)

    def _leave(self) -> None:
        """In a fork: a session of its own, and nothing of the server's left open."""
        os.setsid()
        for number in (*self.forks, self.listener.fileno(), self.owner_ended):
            os.close(number)
        for fork in self.forks.values():
            fork.connection.detach()
        self.listener.detach()

    def _kill_all(self) -> None:
        for fork in set(self.forks.values()):
            _kill(fork.pid)


def _kill(pid: int) -> None:
    """Kill a command and what it forked; its process group is its own from the moment it has left the server's."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)

