"""Finding messages: what a query means here, the best of what the index has, each checked as it stands now.

The index only proposes. Whether a message is still there, who may read it and whether its words are in it is asked of
the message itself, so that nothing redacted, expired, withheld or replaced is ever found, however far behind the
index is.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from maw.core.colony import Said
from maw.core.highlights import Finder, Snippet, Span, snippet
from maw.core.names import parse_address, parse_group
from maw.core.queries import Query, days_between, expression, marked
from maw.errors import NotFound, Unavailable
from maw.node.directory import Directory
from maw.node.indexing import (
    MENTIONS,
    PRIVATE,
    PUBLIC,
    Indexing,
    in_thread,
    mention_mark,
    reader_mark,
)
from maw.node.presenting import Json, Presenter
from maw.node.store import Store
from maw.store import pages
from maw.store.pages import Shown
from maw.store.search import Shelf

WINDOW: Final = 500
"""Of what fits, so many of the newest are ranked; the next page looks below them."""
TIME_LIMIT_S: Final = 2.0
MAX_WAITING: Final = 16
LOADED: Final = 50
HALF_LIFE_MS: Final = 30 * 86_400_000
"""What is so much older counts for half as much more as it did; never less than half."""
_LAST_MS: Final = 1 << 62
_ANYTHING: Final = marked([PUBLIC, PRIVATE])


class Found(NamedTuple):
    """``before``: where the next page begins; None when everything was looked at. ``indexed``: messages above this seq
    cannot be found yet."""

    items: list[Json]
    before: int | None
    indexed: int


class _Hit(NamedTuple):
    seq: int
    rank: float


class _Filters(NamedTuple):
    """A query's filters in this replica's numbers. None: any."""

    authors: frozenset[int] | None
    not_authors: frozenset[int]
    channels: frozenset[int] | None
    not_channels: frozenset[int]
    mentions: tuple[frozenset[str], ...]
    """Of each of these one word."""
    not_mentions: frozenset[str]


@dataclass(slots=True)
class _Scan:
    """One question to the index. ``below``: where it has come to, None at the end."""

    needed: list[str]
    barred: list[str]
    below: int | None
    deadline: float


class Searching:
    """``now_ms``: the clock by which old messages count less."""

    def __init__(
        self,
        store: Store,
        indexing: Indexing,
        directory: Directory,
        presenter: Presenter,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._indexing = indexing
        self._directory = directory
        self._presenter = presenter
        self._now_ms = now_ms
        self._waiting = 0

    async def find(
        self, query: Query, agent_key: bytes | None, *, limit: int, before: int | None, newest_first: bool
    ) -> Found:
        """The best ``limit`` of the newest WINDOW that fit, or (``newest_first``) the newest. Raises NotFound for a
        name that nobody has; Unavailable where there is no index, or the query takes too long."""
        if self._indexing.off is not None:
            raise Unavailable(
                f"search is off: {self._indexing.off}", code="search_off", hint="`maw status` says more"
            )
        filters = self._filters(query, agent_key)
        indexed = self._indexing.seq
        scan = _Scan(
            *_marks(filters, query, agent_key),
            before if before is not None else 1 << 62,
            time.monotonic() + TIME_LIMIT_S,
        )
        finder = Finder(query)
        items: list[Json] = []
        while not items and scan.below is not None:
            hits = await self._hits(query, scan, limit if newest_first else WINDOW, ranked=not newest_first)
            if not newest_first:
                hits = await self._ranked(hits)
            items = await self._read(hits, query, filters, finder, agent_key, limit)
        return Found(items, scan.below, indexed)

    # -- what is asked for ----------------------------------------------------------------------------

    def _filters(self, query: Query, agent_key: bytes | None) -> _Filters:
        authors = [self._authors(word) for word in query.authors]
        channels = [self._directory.channel(name.lower(), agent_key).n for name in query.channels]
        return _Filters(
            frozenset().union(*authors) if authors else None,
            frozenset().union(*(self._authors(word) for word in query.not_authors)),
            frozenset(channels) if channels else None,
            frozenset(self._directory.channel(name.lower(), agent_key).n for name in query.not_channels),
            tuple(self._mentions(word) for word in query.mentions),
            frozenset().union(*(self._mentions(word) for word in query.not_mentions)),
        )

    def _mentions(self, word: str) -> frozenset[str]:
        """How somebody may have been mentioned: by name alone, or with the host; or a group."""
        if (group := parse_group(word)) is not None:
            return frozenset({group})
        wanted = parse_address(word)
        called = self._directory.agents_called(wanted.name, wanted.host)
        return frozenset({wanted.name, str(wanted), *(self._directory.address(row) for row in called)})

    def _authors(self, word: str) -> frozenset[int]:
        """Whoever is or was called so."""
        wanted = parse_address(word)
        named = self._store.state.agents_named.get(wanted.name, {}).values()
        hosts = None if wanted.host is None else {row.n for row in self._directory.find_hosts(wanted.host)}
        found = frozenset(row.n for row in named if hosts is None or row.node in hosts)
        if not found:
            self._directory.find_agent(word)  # says what is near
            raise NotFound(f"no agent is called {wanted}", code="no_such_agent")
        return found

    # -- asking the index ------------------------------------------------------------------------------

    async def _hits(self, query: Query, scan: _Scan, limit: int, *, ranked: bool) -> list[_Hit]:
        if self._waiting >= MAX_WAITING:
            raise Unavailable(
                f"{self._waiting} searches are waiting already",
                code="too_many_searches",
                hint="ask again in a moment",
            )
        self._waiting += 1
        try:
            async with self._indexing.reading:
                return await in_thread(self._scan, query, scan, limit, ranked)
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise _too_slow() from None
            raise
        except sqlite3.DatabaseError as error:
            self._indexing.damaged(error)
            raise Unavailable(
                "the search index is damaged, and is being made again",
                code="search_off",
                hint="ask again in a minute",
            ) from None
        finally:
            self._waiting -= 1

    def _scan(self, query: Query, scan: _Scan, limit: int, ranked: bool) -> list[_Hit]:
        """In a thread. Shelf by shelf from the newest, until there is enough or time is up."""
        index, found = self._indexing.index, list[_Hit]()
        below = scan.below or 0
        scan.below = None
        with index.limited(scan.deadline):
            for shelf in index.standing():
                if shelf.first >= below or not _meets(shelf, query):
                    continue
                if time.monotonic() > scan.deadline:
                    if not found:
                        raise _too_slow()
                    scan.below = shelf.last + 1
                    break
                asked = expression(query, [*scan.needed, *_days(shelf, query)], scan.barred, _ANYTHING)
                rows = index.match(shelf.n, asked, below, limit - len(found), ranked=ranked)
                found += [_Hit(*row) for row in rows]
                if len(found) >= limit:
                    scan.below = found[-1].seq
                    break
        return found

    async def _ranked(self, hits: Sequence[_Hit]) -> list[_Hit]:
        """The best first: what says it more clearly, and what is newer."""
        said = await pages.said_at(self._store.db, [hit.seq for hit in hits])
        now = self._now_ms()
        return sorted(
            (
                hit._replace(rank=hit.rank * _freshness(now - said[hit.seq]))
                for hit in hits
                if hit.seq in said
            ),
            key=lambda hit: (-hit.rank, -hit.seq),
        )

    # -- what it is now --------------------------------------------------------------------------------

    async def _read(
        self,
        hits: Sequence[_Hit],
        query: Query,
        filters: _Filters,
        finder: Finder,
        agent_key: bytes | None,
        limit: int,
    ) -> list[Json]:
        """The messages of the first ``limit`` that stand."""
        items: list[Json] = []
        for at in range(0, len(hits), LOADED):
            some = hits[at : at + LOADED]
            rows = {row.seq: row for row in await pages.among(self._store.db, [hit.seq for hit in some])}
            said = {seq: self._readable(row, query, filters, agent_key) for seq, row in rows.items()}
            texts = [(seq, one.text) for seq, one in said.items() if one is not None]
            shown = await in_thread(_snippets, finder, texts)
            for hit in some:
                words, found = said.get(hit.seq), shown.get(hit.seq)
                if words is None or found is None:
                    continue
                items.append(self._item(rows[hit.seq], words, hit, found))
                if len(items) == limit:
                    return items
        return items

    def _readable(self, row: Shown, query: Query, filters: _Filters, agent_key: bytes | None) -> Said | None:
        if row.gone is not None or self._presenter.as_for(row, agent_key) is not row:
            return None  # what is in the index is not what he reads
        said = self._presenter.said(row)
        if not _fits(row, said, query, filters) or not self._presenter.may_read(row, said, agent_key):
            return None
        return said

    def _item(self, row: Shown, said: Said, hit: _Hit, found: Snippet) -> Json:
        return {
            **self._presenter.with_said(row, said),
            "snippet": found.text,
            "highlights": [list(span) for span in found.highlights],
            "rank": round(hit.rank, 6),
        }


def _too_slow() -> Unavailable:
    return Unavailable(
        f"nothing was found in {TIME_LIMIT_S:g} s",
        code="search_too_slow",
        hint="narrow it: whole words instead of beginnings, in:#channel, from:NAME, since:7d",
    )


def _marks(filters: _Filters, query: Query, agent_key: bytes | None) -> tuple[list[str], list[str]]:
    """What the index is asked for besides words: all of these, none of those."""
    needed: list[str] = []
    if filters.authors is not None:
        needed.append(marked(f"a{n}" for n in sorted(filters.authors)))
    if filters.channels is not None:
        needed.append(marked(f"c{n}" for n in sorted(filters.channels)))
    needed += [marked(map(mention_mark, sorted(words))) for words in filters.mentions]
    if query.has_mention:
        needed.append(marked([MENTIONS]))
    unwanted = [f"a{n}" for n in sorted(filters.not_authors)] + [
        f"c{n}" for n in sorted(filters.not_channels)
    ]
    unwanted += map(mention_mark, sorted(filters.not_mentions))
    if query.has_mention is False:
        unwanted.append(MENTIONS)
    barred = [marked(unwanted)] if unwanted else []
    # said so, it is few messages that are looked through, not nearly all
    barred.append(marked([PRIVATE], None if agent_key is None else reader_mark(agent_key)))
    return needed, barred


def _fits(row: Shown, said: Said, query: Query, filters: _Filters) -> bool:
    heard = (*said.mentions, *said.groups)
    return (
        (filters.authors is None or row.agent in filters.authors)
        and row.agent not in filters.not_authors
        and (filters.channels is None or row.channel in filters.channels)
        and row.channel not in filters.not_channels
        and not any(words.isdisjoint(heard) for words in filters.mentions)
        and filters.not_mentions.isdisjoint(heard)
        and query.has_mention in (None, bool(heard))
        and (query.since_ms is None or row.said >= query.since_ms)
        and (query.until_ms is None or row.said < query.until_ms)
    )


def _meets(shelf: Shelf, query: Query) -> bool:
    return (query.since_ms is None or shelf.newest >= query.since_ms) and (
        query.until_ms is None or shelf.oldest < query.until_ms
    )


def _days(shelf: Shelf, query: Query) -> list[str]:
    """The days that count, of a shelf of which not all do."""
    since, until = query.since_ms or 0, _LAST_MS if query.until_ms is None else query.until_ms
    if shelf.oldest >= since and shelf.newest < until:
        return []
    return [marked(days_between(max(shelf.oldest, since), min(shelf.newest, until - 1)))]


def _freshness(age_ms: int) -> float:
    return float(0.5 + 0.5 * 2.0 ** (-max(0, age_ms) / HALF_LIFE_MS))


def _snippets(finder: Finder, texts: Sequence[tuple[int, str]]) -> dict[int, Snippet]:
    found: dict[int, Snippet] = {}
    for seq, text in texts:
        spans: list[Span] | None = finder.spans(text)
        if spans is not None:
            found[seq] = snippet(text, spans)
    return found
