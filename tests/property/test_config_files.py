"""Whatever stands in the files: a value, or one BadConfig that names the file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from maw.config import Endpoint, load_config, load_peers, parse_endpoint, render_config
from maw.errors import BadConfig, BadInput

LINES = st.lists(
    st.sampled_from(
        [
            "[node]",
            "name = 'x'",
            "name = 7",
            "[mesh]",
            "listen = '10.0.0.1'",
            "listen = []",
            "port = 1",
            "port = 99999",
            "interface = 'wg0'",
            "mesh.port = 2",
            "node = {name = 'x'}",
            "[rest]",
            "listen = '1.1.1.1:1'",
            "[[peer]]",
            "key = 'mk1'",
            "addresses = [1]",
            "addresses = ['[::1']",
            "wat = true",
            "= broken",
            "'''",
            "\ufeff",
        ]
    )
).map("\n".join)


@given(LINES | st.text())
def test_a_file_is_read_or_refused_by_name(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "maw.toml")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        for load in (load_config, load_peers):
            try:
                load(path)
            except BadConfig as error:
                assert str(path) in error.message


@given(st.text())
def test_an_endpoint_is_refused_or_survives_writing_and_reading(text: str) -> None:
    try:
        endpoint = parse_endpoint(text, 6290)
    except BadInput:
        return
    assert parse_endpoint(str(endpoint)) == endpoint


@given(
    st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True).filter(lambda name: len(name) > 9),
    st.lists(st.builds(Endpoint, st.ip_addresses().map(str), st.integers(0, 65535)), min_size=1, max_size=4),
)
def test_init_writes_what_up_reads(name: str, listen: list[Endpoint]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "maw.toml")
        path.write_text(render_config(name, listen=listen))
        read = load_config(path)
    assert read.name == name
    assert read.mesh.listen == tuple(listen)
