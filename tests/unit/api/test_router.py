"""Paths find their targets, and the words in them come out decoded."""

from __future__ import annotations

import pytest

from maw.api.router import Router
from maw.errors import BadInput


@pytest.fixture
def router() -> Router[str]:
    router: Router[str] = Router()
    router.add("GET", "/api/channels", "list")
    router.add("POST", "/api/channels", "add")
    router.add("GET", "/api/channels/{name}/messages", "read")
    router.add("POST", "/api/channels/{name}/messages", "post")
    router.add("GET", "/api/messages/{id}", "message")
    router.add("POST", "/api/users/{name}/token", "token")
    return router


@pytest.mark.parametrize(
    ("path", "methods", "words"),
    [
        ("/api/channels", {"GET": "list", "POST": "add"}, {}),
        ("/api/channels/general/messages", {"GET": "read", "POST": "post"}, {"name": "general"}),
        ("/api/channels/%23a%2Fb/messages", {"GET": "read", "POST": "post"}, {"name": "#a/b"}),
        ("/api/messages/%E0%B9%84", {"GET": "message"}, {"id": "ไ"}),
        ("/api/users/x/token", {"POST": "token"}, {"name": "x"}),
    ],
)
def test_found(router: Router[str], path: str, methods: dict[str, str], words: dict[str, str]) -> None:
    for _ in range(2):  # the second time it is remembered
        found = router.find(path)
        assert found is not None
        assert (dict(found.methods), dict(found.words)) == (methods, words)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "*",
        "/api",
        "/api/channels/",
        "/api/messages/",
        "/api/channels//x/messages",
        "//api/channels",
        "/api/users/x",
    ],
)
def test_not_found(router: Router[str], path: str) -> None:
    assert router.find(path) is None


def test_words_that_are_not_utf8(router: Router[str]) -> None:
    with pytest.raises(BadInput):
        router.find("/api/messages/%ff")


def test_what_it_remembers_is_bounded(router: Router[str]) -> None:
    for number in range(2000):
        found = router.find(f"/api/messages/{number}")
        assert found is not None
        assert found.words["id"] == str(number)
    assert len(router._recent) <= 256
