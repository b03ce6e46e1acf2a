"""Where a daemon is, and what it means when it does not answer."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.errors import HostError, UsageError
from sealift.system.daemon import DaemonAddress, ask_daemon, find_daemon
from sealift.system.web import BrokenError

HOME = {"HOME": "/home/me"}


@pytest.mark.parametrize(
    ("env", "address"),
    [
        ({}, DaemonAddress(kind="unix", path="/var/run/docker.sock")),
        ({"DOCKER_HOST": ""}, DaemonAddress(kind="unix", path="/var/run/docker.sock")),
        ({"DOCKER_HOST": "unix:///run/x.sock"}, DaemonAddress(kind="unix", path="/run/x.sock")),
        (
            {"APPTAINER_DOCKER_HOST": "unix:///a", "DOCKER_HOST": "unix:///b"},
            DaemonAddress(kind="unix", path="/a"),
        ),
        ({"DOCKER_HOST": "tcp://host"}, DaemonAddress(kind="tcp", host="host", port=2375)),
        ({"DOCKER_HOST": "tcp://[::1]:99"}, DaemonAddress(kind="tcp", host="::1", port=99)),
        (
            {"DOCKER_HOST": "tcp://host", "DOCKER_TLS_VERIFY": "1"},
            DaemonAddress(kind="tls", host="host", port=2376, certificates="/home/me/.docker"),
        ),
        (
            {"DOCKER_HOST": "https://host:1", "DOCKER_CERT_PATH": "/c"},
            DaemonAddress(kind="tls", host="host", port=1, certificates="/c"),
        ),
    ],
)
def test_where_the_environment_says_it_is(env: dict[str, str], address: DaemonAddress) -> None:
    assert find_daemon(HOME | env) == address


@pytest.mark.parametrize(
    "text", ["ssh://me@host", "npipe:////./pipe/docker", "/run/x.sock", "tcp://host:99999999", "tcp://[bad"]
)
def test_addresses_that_cannot_be_spoken_to(text: str) -> None:
    with pytest.raises(UsageError, match="is no address of a Docker daemon") as caught:
        find_daemon({"DOCKER_HOST": text})
    assert "docker save NAME -o image.tar" in caught.value.hints[1]


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[tuple[DaemonAddress, list[bytes]]]:
    """Answers each connection with the next of the list, and closes."""
    answers: list[bytes] = []
    path = tmp_path / "socket"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                if not answers:
                    return
                connection.sendall(answers.pop(0))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield DaemonAddress(kind="unix", path=str(path)), answers
    answers.clear()
    with socket.socket(socket.AF_UNIX) as last:
        last.connect(str(path))
        last.sendall(b"end")
    thread.join()
    server.close()


def test_an_answer(listener: tuple[DaemonAddress, list[bytes]]) -> None:
    address, answers = listener
    answers.append(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    answer = ask_daemon(address, "/images/x/json")
    assert (answer.status, answer.read(100), answer.read(100)) == (200, b"hello", b"")
    answer.close()


def test_an_answer_that_is_cut(listener: tuple[DaemonAddress, list[bytes]]) -> None:
    address, answers = listener
    answers.append(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
    answers.append(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    for _ in range(2):
        answer = ask_daemon(address, "/images/x/get")
        with pytest.raises(BrokenError, match="broke"):
            while answer.read(100):
                pass
        answer.close()


def test_what_is_no_daemon(listener: tuple[DaemonAddress, list[bytes]], tmp_path: Path) -> None:
    address, answers = listener
    answers.append(b"SSH-2.0-OpenSSH\r\n\r\n")
    with pytest.raises(HostError, match="no Docker daemon answers"):
        ask_daemon(address, "/")
    missing = DaemonAddress(kind="unix", path=str(tmp_path / "none"))
    with pytest.raises(HostError) as caught:
        ask_daemon(missing, "/")
    assert caught.value.message == f"no Docker daemon answers at `{missing}`: no such file or directory"


@pytest.mark.needs("root", "plain-user")
def test_no_permission(listener: tuple[DaemonAddress, list[bytes]], as_user) -> None:
    address, _ = listener
    os.chmod(address.path, 0o600)
    os.chmod(os.path.dirname(address.path), 0o755)
    code = (
        "import sys; from sealift.system.daemon import ask_daemon, find_daemon\n"
        "try: ask_daemon(find_daemon({'DOCKER_HOST': 'unix://' + sys.argv[1]}), '/')\n"
        "except Exception as error: print(error, '|', error.hints[0])\n"
    )
    place = as_user.folder("plain") / "socket"
    os.link(address.path, place)
    done = as_user([as_user.bin / "python", "-c", code, place], user="plain")
    place.unlink()
    assert done.stdout.decode() == (
        f"no permission to speak to the Docker daemon at `{place}` | "
        "ask an administrator to add you to its group: usermod -aG docker YOU\n"
    )
