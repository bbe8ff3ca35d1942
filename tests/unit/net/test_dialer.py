import errno
import socket
import ssl

import pytest

from maw.net.dialer import _in_plain_words


@pytest.mark.parametrize(
    ("problem", "words", "code"),
    [
        (TimeoutError(), "timed out", "timed_out"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "connection refused", "unreachable"),
        (OSError(errno.EHOSTUNREACH, "x"), "no route to host", "unreachable"),
        (OSError(errno.ENETUNREACH, "x"), "no route to host", "unreachable"),
        (OSError(errno.EDESTADDRREQ, "x"), "WireGuard knows no endpoint for this address yet", "unreachable"),
        (OSError(getattr(errno, "ENOKEY", 126), "x"), "no WireGuard peer has this address", "unreachable"),
        (socket.gaierror(-2, "x"), "the name does not resolve", "no_such_name"),
        (ssl.SSLError(1, "x"), "what listens there speaks no TLS 1.3", "not_a_node"),
        (ConnectionResetError(), "the connection was closed before the handshake", "unreachable"),
        (OSError(9999, "strange"), "cannot connect: [Errno 9999] strange", "unreachable"),
    ],
)
def test_every_failure_has_plain_words(problem: OSError, words: str, code: str) -> None:
    link_error = _in_plain_words(problem)
    assert (link_error.message, link_error.code) == (words, code)
