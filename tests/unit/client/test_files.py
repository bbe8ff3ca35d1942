"""What is given to a message: plain files of this machine, as long as they stay as they are."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maw.client.files import attach_path, save
from maw.client.rest import Rest
from maw.errors import BadInput, Conflict, MawError, NotFound

NOBODY = Rest("http://127.0.0.1:1")


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Content-Type"], data))  # type: ignore[attr-defined]
        self._answer(201, json.dumps({"hash": "ab", "name": "x", "size": len(data), "type": "t"}).encode())

    def do_GET(self) -> None:
        self._answer(200, b"content")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    found.got = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def at(server: Any) -> Rest:
    return Rest(f"http://127.0.0.1:{server.server_address[1]}")


def test_what_is_no_plain_file_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="is a directory") as raised:
        attach_path(NOBODY, tmp_path)
    assert "tar czf" in raised.value.hint
    with pytest.raises(BadInput, match="no plain file"):
        attach_path(NOBODY, tmp_path / "pipe")
    with pytest.raises(NotFound):
        attach_path(NOBODY, tmp_path / "nothing")


def test_it_goes_whole_under_its_name_and_type(server: Any, tmp_path: Path) -> None:
    path = tmp_path / ".log \u202e.txt"
    path.write_bytes(bytes(600_000))
    assert attach_path(at(server), path)["size"] == 600_000
    ((asked, kind, data),) = server.got
    assert (asked, kind, data) == ("/api/files?name=log+_.txt", "text/plain", bytes(600_000))


@pytest.mark.parametrize(("change", "how"), [(b"", "shorter"), (bytes(700_000), "longer")])
def test_a_file_that_changes_meanwhile_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: bytes, how: str
) -> None:
    path = tmp_path / "log"
    path.write_bytes(bytes(600_000))
    connection = Rest.connection

    def taken(data: Any) -> None:
        if not isinstance(data, bytes):
            list(data)

    def changed(self: Rest, timeout: float) -> Any:
        path.write_bytes(change)
        found = connection(self, timeout)
        monkeypatch.setattr(found, "connect", lambda: None)
        monkeypatch.setattr(found, "send", taken)
        return found

    monkeypatch.setattr(Rest, "connection", changed)
    with pytest.raises(Conflict, match=how) as raised:
        attach_path(NOBODY, path)
    assert raised.value.code == "file_changed"


def test_nothing_is_written_over_unasked_and_nothing_is_left_half(server: Any, tmp_path: Path) -> None:
    place = tmp_path / "got"
    assert save(at(server), "1", 1, place) == 7 and place.read_bytes() == b"content"
    place.write_bytes(b"mine")
    with pytest.raises(Conflict):
        save(at(server), "1", 1, place)
    assert place.read_bytes() == b"mine"
    assert save(at(server), "1", 1, place, force=True) == 7
    with pytest.raises(MawError):
        save(NOBODY, "1", 1, tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["got"]
    with pytest.raises(MawError, match="cannot be written"):
        save(at(server), "1", 1, tmp_path / "no" / "such")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MawError, match="cannot be written"):
        save(at(server), "1", 1, tmp_path / "folder", force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "got"]
