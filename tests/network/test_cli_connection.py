"""What a person is told whose --url leads to nobody, to something else, or to a gateway that hangs."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from network.cli import main

Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def status_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types `quorate status --url` in this process, with less patience than usual; its exit code and last words."""
    monkeypatch.setattr("network.client.core.READ_TIMEOUT_S", 0.4)
    monkeypatch.setattr("network.cli.connection.FIRST_WORD_TIMEOUT_S", 0.05)

    def type_it(*urls: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["quorate", "status", "--url", ",".join(urls)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return type_it


@contextlib.contextmanager
def listening(says: bytes | None) -> Iterator[str]:
    """The address of somebody who takes every connection and says this, then closes it; None for who only takes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    if says is None:
                        kept.append(peer)
                        continue
                    with peer, contextlib.suppress(OSError):
                        peer.recv(1024)
                        peer.sendall(says)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for peer in kept:
                peer.close()


def test_a_gateway_that_hangs_is_named_with_the_time_and_what_to_do(status_of: Typed) -> None:
    with listening(says=None) as url:
        code, said = status_of(url)
    assert code == 1
    assert said == (
        f"quorate: no node answered: {url}: it took the connection and gave no answer within 0.5 s: the gateway "
        "hangs or has too much to do, its node's log may say why; ask another node\n"
    )


@pytest.mark.parametrize("says", [b"", b"\x15\x03\x03\x00\x02\x02\x46", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_a_port_that_speaks_no_http_is_no_gateway_and_its_port_can_be_found(status_of: Typed, says: bytes) -> None:
    with listening(says) as url:
        code, said = status_of(url)
    assert code == 1
    assert said == (
        f"quorate: what listens at {url} does not speak HTTP, it is no gateway: a gateway's port is `port` under "
        "[gateway] in its node's node.toml (8101 where nothing is said); `listen` under [peer] is for validators "
        "alone\n"
    )


def test_an_http_server_that_is_no_gateway_is_told_apart(status_of: Typed) -> None:
    with listening(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") as url:
        code, said = status_of(url)
    assert (code, "this is no gateway of Quorate" in said) == (1, True)


def test_one_url_that_may_answer_is_enough_to_go_on(status_of: Typed) -> None:
    """A wrong address beside a right one is the client's to pass over."""
    with listening(b"") as wrong, listening(None) as slow:
        code, said = status_of(wrong, slow)
    assert (code, "does not speak HTTP" in said, "gave no answer within" in said) == (1, False, True)


def test_nobody_at_all(status_of: Typed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    assert status_of(url) == (1, f"quorate: nothing answers at {url}: start a node (quorate start), or give --url\n")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:999999", "is no address of a gateway (Port out of range 0-65535): write http://HOST:PORT"),
        ("http://nobody.invalid:8101", "there is no host 'nobody.invalid': is http://nobody.invalid:8101 spelled"),
        ("127.0.0.1:8101", "--url '127.0.0.1:8101' is no address of a gateway: write http://HOST:PORT"),
        ("http://", "--url 'http://' is no address of a gateway"),
    ],
)
def test_an_address_that_cannot_be_one(status_of: Typed, url: str, said: str) -> None:
    code, words = status_of(url)
    assert (code, said in words) == (1, True), words


def test_https_before_a_gateway_itself_is_told_at_once(status_of: Typed) -> None:
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        code, said = status_of(url.replace("http:", "https:"))
    assert (code, "does not speak TLS: a gateway by itself is at http://, not https://" in said) == (1, True), said
