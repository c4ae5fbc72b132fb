"""Stands for a program of the environment (python, dvc, tune, inspect): hands its command to the warm server, or becomes it.

`environment.py` writes it into the warm environment's bin/, a copy per program, below a line that starts the base Python bare
(-IS: 8 ms); hence only modules that are built in or nearly so, and no typing. What is handed over goes on in a fork of the
server, with this process's folder, environment, streams and ignored signals; this process passes signals on, and ends as the
fork ends. Where there is no server, or it declines, the real program takes this process's place.
"""

import _signal
import _socket
import marshal
import os
import sys

PYTHONS = ("python", "python3")
# The server imports for some 10 s (CPU), much longer on a machine that is busy.
WAIT_S = 180
PASSED_ON = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM, _signal.SIGUSR1, _signal.SIGUSR2, _signal.SIGCONT)


def main(called, words):
    """Hand over what is worth it: a script, or a program that imports much. Options of Python's own are for a real one."""
    folder = os.path.dirname(os.path.dirname(os.path.realpath(called)))
    name = os.path.basename(called)
    if name not in PYTHONS or (words and not words[0].startswith("-")):
        connection = connect(os.path.join(folder, "socket"))
        if connection is not None:
            hand_over(connection, name, called, words)
    become_real(os.path.join(folder, "real"), name, called, words)


def become_real(environment, name, called, words):
    """Run the real program in this process. Python takes its name from what was called, and finds its environment by it."""
    if name in PYTHONS:
        os.execv(os.path.join(environment, "bin", name), [called, *words])
    program = os.path.join(environment, "bin", name)
    os.execv(program, [program, *words])


def connect(path):
    """A connection to a server that is ready; None where there is none."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.settimeout(WAIT_S)
    try:
        connection.connect(path)
        if connection.recv(1) == b"+":
            connection.settimeout(None)
            return connection
    except OSError:  # refused, not there, or too late
        pass
    connection.close()
    return None


def hand_over(connection, name, called, words):
    """Let a fork of the server do it, and end as it ends; come back if the server declines."""
    ignored = [number for number in PASSED_ON if _signal.getsignal(number) == _signal.SIG_IGN]
    child = []
    early = []
    for number in PASSED_ON:
        _signal.signal(number, lambda number, frame: pass_on(child[0], number) if child else early.append(number))
    try:
        request = marshal.dumps((name, called, words, os.getcwd(), dict(os.environ), ignored))
        streams = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2))
        connection.sendmsg([len(request).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
        connection.sendall(request)
        pid = int.from_bytes(connection.recv(4, _socket.MSG_WAITALL), "big")
    except OSError:  # the folder is gone, or a stream is closed
        pid = 0
    if pid:
        child.append(pid)
        for number in early:
            os.kill(pid, number)
        end_as(connection.recv(4, _socket.MSG_WAITALL))
    connection.close()
    for number in PASSED_ON:
        _signal.signal(number, _signal.SIG_IGN if number in ignored else _signal.SIG_DFL)
    for number in early:
        os.kill(os.getpid(), number)


def pass_on(pid, number):
    """Signal the fork; where it is to go on, all that it started as well, as Slurm does with a job before it ends it."""
    os.kill(pid, number)
    if number == _signal.SIGCONT:
        try:  # noqa: SIM105
            os.killpg(pid, number)
        except ProcessLookupError:  # so new that its group is not yet its own
            pass


def end_as(answer):
    """End with the exit status, or by the signal, that ended the fork."""
    if len(answer) < 4:
        os.write(2, b"tests/warm: the server died, and the command with it\n")
        os._exit(70)
    status = int.from_bytes(answer, "big")
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number:
        if number != _signal.SIGKILL:
            _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


main(sys.argv[0], sys.argv[1:])
