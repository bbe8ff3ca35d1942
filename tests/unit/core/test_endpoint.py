import pytest

from maw.core.endpoint import endpoint_text, parse_endpoint
from maw.errors import BadInput


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.7.0.2:6290", "10.7.0.2", 6290),
        (" mbp.wg:1 ", "mbp.wg", 1),
        ("[fd00::2]:65535", "fd00::2", 65535),
        ("[fe80::1%wg0]:6290", "fe80::1%wg0", 6290),
    ],
)
def test_reads_what_people_write_and_writes_it_back(text: str, host: str, port: int) -> None:
    assert parse_endpoint(text) == (host, port)
    assert endpoint_text(host, port) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "host", "host:", ":6290", "fd00::2:6290", "[fd00::2]", "[fd00::2]6290", "[host]:6290",
        "host:0", "host:65536", "host:-1", "host:6290x", "host:٣", "a b:1", "a/b:1", "u@h:1", "h\x00:1",
        "[fd00::2:6290", "host:000001",
    ],
)  # fmt: skip
def test_anything_else_is_named_as_wrong(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_endpoint(text)
    assert caught.value.code == "bad_address"
