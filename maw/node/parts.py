"""Everything a node is made of, put together, and what the parts hear of one another.

Database ─ Writer ─ State          the disk, and what memory knows of it
TrustBook ─ Membership ─ desks     whom we trust
Replicator ─ Runtime               what is followed and served
Switchboard ─ Mesh                 links
Authoring ─ Talking, People        what is said here
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Final

from maw import __version__
from maw.config import Config, PeersFile
from maw.core.colony import Card, Said
from maw.core.effects import Alert
from maw.core.entry import Entry
from maw.core.handshake import Local
from maw.core.held import HeldLogs
from maw.core.identity import NodeId, Signer, short_key
from maw.core.once import Marks
from maw.core.refused import Attempt
from maw.core.replication import Replicator
from maw.core.spending import COLONY, Cap
from maw.core.statement import Statement
from maw.core.transcript import Hello
from maw.errors import LinkClosed, MawError
from maw.net.link import Link
from maw.net.reception import HUNG_UP
from maw.net.switchboard import Switchboard
from maw.net.tls import NodeTls
from maw.node.alerts import Alerts
from maw.node.arriving import Arriving
from maw.node.attaching import Attaching
from maw.node.auditing import Auditing
from maw.node.authoring import Authoring, wall_clock_ms
from maw.node.bell import Bell
from maw.node.belonging import Belonging
from maw.node.births import Births
from maw.node.channels import Channels
from maw.node.clock_watch import ClockWatch
from maw.node.commanding import Commanding
from maw.node.conduct import Conduct
from maw.node.conversing import Conversing
from maw.node.copied import CopyWatch
from maw.node.costs import Costs
from maw.node.crowds import Crowds
from maw.node.descriptors import DescriptorWatch
from maw.node.desks import InvitingDesk, JoiningDesk
from maw.node.directory import Directory
from maw.node.disk import DiskGuard
from maw.node.editing import Editing
from maw.node.expiring import Expiring
from maw.node.far_receipts import FarReceipts
from maw.node.folds import Folds
from maw.node.forking import Forking
from maw.node.hearing import Hearing
from maw.node.herald import Herald
from maw.node.home import NodeHome
from maw.node.hosting import Hosting
from maw.node.indexing import Indexing
from maw.node.introducing import Introducing
from maw.node.inventory import Inventory
from maw.node.joiner import Joiner
from maw.node.keeping import Keeping
from maw.node.learning import Learning
from maw.node.ledger import Ledger
from maw.node.legibility import Legibility
from maw.node.likenesses import Likenesses
from maw.node.loans import Loans
from maw.node.loops import Loops
from maw.node.luggage import Luggage
from maw.node.marking import Marking
from maw.node.membership import Membership
from maw.node.mender import Mender
from maw.node.mesh import Mesh
from maw.node.migrating import Migrating
from maw.node.moving import Moving
from maw.node.name_watch import NameWatch
from maw.node.opening import Opened
from maw.node.orders import Orders
from maw.node.peering import Peering
from maw.node.people import People
from maw.node.policies import Policies
from maw.node.presence import Presences
from maw.node.presenting import Presenter
from maw.node.quotas import SayQuotas
from maw.node.reactions import Ask, Reactions
from maw.node.receipts import Receipts
from maw.node.reclaiming import Reclaiming
from maw.node.redacting import Redacting
from maw.node.refused import RefusalRecord
from maw.node.reporting import Reporting
from maw.node.rhythm import Rhythm
from maw.node.rooms import Rooms
from maw.node.roster import Roster
from maw.node.runtime import Runtime
from maw.node.saving import Saving
from maw.node.scrubbing import DAMAGED, Scrubber, split
from maw.node.sealing import Sealing
from maw.node.searching import Searching
from maw.node.shelf import Shelf
from maw.node.souls import Souls
from maw.node.spending import Spending
from maw.node.spoken import OperatorsWord
from maw.node.stated import Stated
from maw.node.store import Store
from maw.node.talking import Talking
from maw.node.talks import Talks
from maw.node.tallies import Tallies
from maw.node.tracing import Tracing
from maw.node.uploads import Uploads
from maw.node.version_watch import VersionWatch
from maw.node.visible import Visible
from maw.node.vouching import Vouching
from maw.node.wakes import Wakes
from maw.store import trust as rows
from maw.store.asides import SetAside
from maw.store.blobs import BlobFolder
from maw.store.database import Database
from maw.store.fold import Fold
from maw.store.state import AgentRow
from maw.store.writer import Writer

log = logging.getLogger(__name__)

WRITER_STILL_S: Final = 60.0
"""A commit or a checkpoint that takes longer stands still: see maw/node/loops.py."""
READS_STILL_S: Final = 60.0
"""And so does a read: there are few connections to read with, and whoever reads next waits for one."""


class Parts:
    """Nothing runs yet: that is ``Node``'s. The parts are public for the API and for tests."""

    def __init__(self, home: NodeHome, config: Config, signer: Signer, db: Database, opened: Opened) -> None:
        self.home = home
        self.config = config
        self.signer = signer
        self.db = db
        self.state = opened.state
        self.started_at = time.time()
        self._opened = opened
        me = signer.node
        self.writer = Writer(db.writing, db.path, on_rollback=self._reread, on_trouble=self._trouble)
        self._store = Store(me, db, self.state, self.writer)
        self.alerts = Alerts(self.writer)
        self.visible = Visible(self.state.seq)
        self.receipts = Receipts()
        self.board = Switchboard(
            me, changed=self._link_changed, copied=lambda old, new: self.copy_watch.seen(old, new)
        )
        self.membership = Membership(
            home, signer, opened.book, self.writer, changed=self._trust_changed, trouble=self._trouble,
            unwritten=opened.unwritten,
        )  # fmt: skip
        self._make_logs(opened)
        self._make_words()
        self._make_talk()
        self._make_services(opened)
        self._make_mesh(opened)

    def _make_logs(self, opened: Opened) -> None:
        """What is followed, served and kept, and our own log."""
        me, signer, db, store = self.me, self.signer, self.db, self._store
        held = HeldLogs(self.state.heads(), self.state.disputed(), opened.book.cuts, self.state.incomplete())
        reactions = Reactions(
            self._alert, self._gossip_changed_trust, self._own_log_returned, self._received,
            self.alerts.settle, self.alerts.bug, lambda entry, said: self.keeping.withhold(entry, said),
            lambda behind: setattr(self.authoring, "recovering", behind),
        )  # fmt: skip
        self.conduct = Conduct(
            time.monotonic, name=lambda peer: self.directory.name_of(peer),
            alert=self.alerts.raise_alert, settle=self.alerts.settle,
        )  # fmt: skip
        self.folds = Folds(
            me, self.state, self.visible, reactions, self._feed,
            note_receipt=lambda peer, epoch, seq: self.runtime.note_receipt(peer, epoch, seq),
        )  # fmt: skip
        self.mender = Mender(db, self.state, self.writer, self.folds, self._feed)
        reclaiming = Reclaiming(
            signer, self.state, self.writer, lambda: self.authoring, self.receipts, self.folds, self._feed,
            coming=lambda epoch: self.runtime.machine.own_is_coming(epoch),
            alert=self.alerts.raise_alert, monotonic=time.monotonic,
        )  # fmt: skip
        self.shelf = Shelf(
            BlobFolder(self.home.blobs), self.config.files, store, lambda: self.authoring.read_only,
            lambda: self.runtime.borrowing.fetching.under_way, lambda: self.authoring.recovering,
        )  # fmt: skip
        self.uploads = Uploads(store, self.shelf)
        self.forking = Forking(store, reclaiming, self.folds, self._feed)
        self.runtime = Runtime(
            me, Replicator(me, opened.book, held), held, db, self.state, self.writer, opened.clock,
            self.visible, self.receipts, self.folds, reactions, self.mender, self.forking, self.conduct,
            self.shelf,
        )  # fmt: skip
        self.authoring = Authoring(
            signer, opened.book.colony, self.state, self.writer, opened.clock, instance=opened.instance,
            fingerprint=opened.fingerprint, new_epoch=opened.new_epoch,
            last_epoch=opened.mark.read()[0], recovery=opened.recovery,
            card=self.card, on_committed=self._appended,
        )  # fmt: skip

    def _make_words(self) -> None:
        """Who is who, how a message is shown, and how far it came."""
        me, db, store = self.me, self.db, self._store
        self.directory = Directory(me, self.state, lambda: self.membership.book.trusted)
        self.sealing = Sealing(self.home, store, lambda: self.authoring, self.directory.name_of)
        self.name_watch = NameWatch(self.directory, self.alerts.raise_alert, self.alerts.settle)
        self.saving = Saving(self.state, self.writer, self.receipts, self.board, self.authoring)
        self.scrubber = Scrubber(
            db, self.state, self.writer, self.mender, self.alerts, lambda: self.membership.book.colony
        )
        self._word = OperatorsWord(me, self.state, lambda: self.membership.book)
        self._likenesses = Likenesses(me, self.state, lambda: self.membership.book.ruling.authority)
        self.presenter = Presenter(
            me,
            self.state,
            self.directory,
            self._word,
            self._likenesses,
            lambda place: self.scrubber.report([split(place)]),
        )
        self.reporting = Reporting(
            store, self.authoring, self.folds, self.receipts.stir,
            lambda places: self.scrubber.report(split(place) for place in places),
        )  # fmt: skip
        self.marking = Marking(store, self.reporting.marked)
        self.tracing = Tracing(
            store, self.directory, self.presenter, self.receipts,
            online=lambda node: self.peering.online(node), refused_by=lambda node: self.mesh.refused_by(node),
        )  # fmt: skip

    def _make_talk(self) -> None:
        """What agents of this host say and hear, and what limits them."""
        store, config, signer, db = self._store, self.config, self.signer, self.db
        self.wakes = Wakes(
            store, config.wakes, self.directory.address, self.alerts.raise_alert, self.alerts.settle
        )
        self.hearing = Hearing(
            db, self.state, self.visible, self.presenter, self.directory.address, self.directory.roles_of,
            self.marking, self.wakes,
        )  # fmt: skip
        self.quotas = SayQuotas(
            config.limits.rates, self.directory.address, self.alerts.raise_alert, self.alerts.settle
        )
        self.legibility = Legibility(self.directory.address, self.alerts.raise_alert)
        self.expiring = Expiring(store, self.marking, lambda: self.visible.seq)
        self.rooms = Rooms(store, self.authoring, self.directory, self.sealing, self.folds)
        self.channels = Channels(
            store, self.authoring, self.directory,
            lambda agent, channel: self.keeping.refuse_frozen(agent, channel), self.rooms,
        )  # fmt: skip
        self.crowds = Crowds(store, self.directory, config.limits.crowd)
        self.talking = Talking(
            store,
            self.authoring,
            self.directory,
            self.presenter,
            self.tracing,
            Marks(signer),
            self.marking,
            lambda agent, said: self.keeping.refuse(agent, said),
            self._charge,
            self.crowds,
            self.channels,
            self.sealing,
            self.rooms,
        )
        self.editing = Editing(
            store,
            self.authoring,
            self.presenter,
            self.talking,
            Marks(signer),
            lambda agent, said: self.keeping.refuse(agent, said),
            self._charge,
            self.sealing,
            self.channels,
            self.rooms,
        )
        self.attaching = Attaching(
            store, self.shelf, self.uploads, self.runtime.borrowing, self.presenter, self.directory, self.talking,
            linked=self.board.linked,
        )  # fmt: skip
        self.conversing = Conversing(
            store, self.directory, self.presenter, self.talking, lambda: self.visible.seq
        )
        self.talks = Talks(store, self.directory, self.presenter)
        self.stated = Stated(store, lambda: self.membership.book, self.folds)
        self.keeping = Keeping(
            store, self.authoring, self._word, lambda: self.membership.book,
            self.alerts.raise_alert, self.folds, self.stated.settle, self.directory.name_of,
        )  # fmt: skip
        self.redacting = Redacting(
            store,
            self.authoring,
            self.directory,
            self.presenter,
            self.talking,
            self.channels,
            self.visible,
        )

    def _make_services(self, opened: Opened) -> None:
        """What is asked of it all, and what tells people."""
        me, store, config, db = self.me, self._store, self.config, self.db
        self.indexing = Indexing(
            store,
            self.visible,
            self.home.search,
            lambda: self.authoring.read_only is None,
            config.search.index,
        )
        self.auditing = Auditing(
            me, store, self.directory, lambda: self.membership.book, lambda: self.belonging.founding()
        )
        self.searching = Searching(store, self.indexing, self.directory, self.presenter, wall_clock_ms)
        self.orders = Orders(
            me, db, self.state, self.authoring, self.directory, self.presenter, self.receipts, self.talking,
            lambda: self.membership.book,
        )  # fmt: skip
        self.presences = Presences(store, self.authoring, lambda agent: self.roster.given_up(agent))
        self.births = Births(
            config.births, store, self.directory, lambda: self.membership.book.ruling.freezes,
            self.alerts.raise_alert, lambda agent: self.keeping.refuse_halted(agent),
        )  # fmt: skip
        self.people = People(
            store, self.authoring, self.directory, self._likenesses, self.presences, self.births
        )
        self.policies = Policies(
            db, self.membership, self.directory, self.presences, self.alerts.raise_alert, self.alerts.settle
        )
        self.souls = Souls(
            store, self.authoring, self.directory, self.keeping.refuse_frozen, self.quotas.charge_beside
        )
        self.herald = Herald(
            config.host.alerts, store, self.talking, self.channels, self.people, self._tells_for_all
        )
        self.bell = Bell(
            config.name,
            config.alerts.exec,
            config.alerts.webhook,
            store,
            self.alerts.raise_alert,
            self.alerts.settle,
        )
        self.alerts.listen(self._alerted, self._alert_over)
        self.refused = RefusalRecord(store)
        self.costs = Costs(
            store, lambda key: self.directory.counts(self.membership.book.ruling.successor(key))
        )
        self.spending = Spending(
            store, self.costs, config.cost, config.name, self.directory.address,
            lambda agent: agent.id.hex() == self.herald.speaker, self.alerts.raise_alert, self.alerts.settle,
            self.hearing.stir, self._colony_caps, lambda: len(self.membership.book.trusted) + 1,
            lambda: self.ledger.hurry(),
        )  # fmt: skip
        self.tallies = Tallies(store, self.costs, lambda: self.visible.seq)
        self.ledger = Ledger(store, self.authoring)
        self.ledger.said = self.spending.said
        self.costs.counted = self._counted
        self.keeping.refuse_halted = self.spending.refuse
        self.wakes.frozen = lambda agent: self.keeping.frozen(agent) or self.spending.words(agent)
        self.rhythm = Rhythm(
            store,
            lambda: self.visible.seq,
            self.directory.address,
            self.alerts.raise_alert,
            self.alerts.settle,
        )
        self.roster = Roster(
            store, self.directory, self.alerts, opened.fingerprint.partition("|")[0], config.agents
        )
        self.migrating = self._make_moves()

    def _make_moves(self) -> Migrating:
        """Agents that move from here and to here."""
        store = self._store
        luggage = Luggage(
            store, self.shelf, self.uploads, self.runtime.borrowing, lambda: self.authoring.colony
        )
        moving = Moving(
            store, self.authoring, self.directory, self.sealing, self.people, self.roster, luggage,
            self.config.moves.accept_from, self.keeping.frozen, self.alerts.raise_alert, self.alerts.settle,
        )  # fmt: skip
        arriving = Arriving(
            store, self.authoring, self.folds, luggage, self.directory.counts, self.alerts.raise_alert
        )
        loans = Loans(store, self.authoring, self.sealing, self.folds)
        return Migrating(store, moving, arriving, luggage, loans)

    def _make_mesh(self, opened: Opened) -> None:
        """Links, and what is looked at now and then."""
        me, config, signer, db, home = self.me, self.config, self.signer, self.db, self.home
        self.inviting = InvitingDesk(
            me, config.name, db, self.writer, self.membership,
            founding=lambda: self.belonging.founding(), addresses=lambda: self.mesh.addresses(),
            alert=self.alerts.raise_alert,
        )  # fmt: skip
        self.loops = Loops(
            time.monotonic, alert=self.alerts.raise_alert, settle=self.alerts.settle, bug=self.alerts.bug
        )
        self.loops.watch("writer", self.writer.busy_s, WRITER_STILL_S, essential=True)
        self.loops.watch("reads", db.reading_s, READS_STILL_S)
        self.mesh = Mesh(
            config, self._local, NodeTls(signer), self.membership, self.board, self._serve, self.inviting,
            share=self.runtime.share, loops=self.loops, conduct=self.conduct,
            refused=lambda source, why: self.version_watch.refused(source, why),
        )  # fmt: skip
        self.mesh.refusals.listen(self._link_refused)
        self.belonging = Belonging(
            home, signer, db, self.state, self.writer, self.membership, self.authoring, self.runtime, opened,
            card=self.card, joined=self._in_a_colony,
        )  # fmt: skip
        desk = JoiningDesk(
            self.writer, self.membership, has_linked=self.belonging.has_linked, adopt=self.belonging.adopt
        )
        self.joiner = Joiner(me, db, self.writer, self.mesh, desk, self.alerts.raise_alert)
        self.inventory = Inventory(
            me, self.membership, self.board, self.mesh, self.runtime, self.state, self.directory, self.alerts
        )
        self.peering = Peering(
            self.membership, self.inviting.asking, self.board, self.mesh, self.runtime, self.state,
            self.inventory, self.conduct,
        )  # fmt: skip
        self.learning = Learning(self._store, self.folds)
        self.version_watch = VersionWatch(
            __version__, self.alerts.raise_alert, self.alerts.settle, self.directory.name_and_version
        )
        self.vouching = Vouching(signer, self.membership, self.writer, self.alerts, self.directory.name_of)
        self.copy_watch = CopyWatch(self.alerts, short_key(me), self.directory.name_of)
        self.command = Commanding(signer, db, self.state, self.membership, self.directory, self.runtime)
        self.far_receipts = FarReceipts(me, self.authoring, self.board)
        self.clock_watch = ClockWatch(config.name, self.alerts.raise_alert, self.alerts.settle)
        self.disk = DiskGuard(
            home.path, config.limits.min_free_disk_mib << 20, self._disk_changed, database=home.database
        )
        self.hosting = Hosting(config, self._store, self.alerts, self.disk, self.roster.wanted)
        self.descriptors = DescriptorWatch(config.name, self.alerts.raise_alert, self.alerts.settle)
        self.introducing = Introducing(
            me,
            self.state,
            self.writer,
            self.authoring,
            self.belonging,
            self.people,
            self.card,
            self.sealing.keep,
        )

    @property
    def me(self) -> NodeId:
        return self.signer.node

    # -- links --------------------------------------------------------------------------------------

    def card(self) -> Card:
        return Card(self.config.name, self.mesh.addresses(), __version__)

    def _local(self) -> Local:
        hello = Hello(
            self.config.name,
            self.mesh.addresses(),
            self.mesh.linking.features(),
            __version__,
            wall_clock_ms(),
        )
        return Local(self.signer, self.membership.book.colony, self._opened.instance, hello)

    async def _serve(self, link: Link) -> None:
        if not await self.belonging.has_linked():
            try:
                await self.writer.submit(lambda conn: rows.set_meta(conn, "linked", 1))
            except MawError as error:
                raise LinkClosed(f"this link could not be noted: {error.message}") from None
        log.info("linked with %s (%s) at %s", link.peer_name, short_key(link.peer), link.remote_address)
        self.version_watch.met(link.peer, link.remote_address)
        self.clock_watch.met(
            link.peer, link.peer_name, link.hello.clock_ms, max(0, int(link.up_since * 1000))
        )
        ended = await self.runtime.carry_link(link)
        log.info("link with %s (%s) ended: %s", link.peer_name, short_key(link.peer), ended.message)

    def _charge(self, agent: AgentRow, said: Said) -> None:
        self.quotas.charge(agent, said)
        self.legibility.heard(agent, said)

    def _colony_caps(self) -> list[Cap]:
        ruling = self.membership.book.ruling
        name_of = ruling.authority.name_of
        return [
            Cap(COLONY, one.unit, one.amount, f"operator {name_of(one.issuer) or short_key(one.issuer)}")
            for one in ruling.caps
            if one.amount is not None
        ]

    def _counted(self) -> None:
        self.ledger.counted()
        self.spending.judge()

    def _link_changed(self, peer: NodeId) -> None:
        if (row := self.state.nodes.get(peer)) is not None:
            row.seen = wall_clock_ms()
        self.mesh.redial(peer)
        self.far_receipts.link_changed(peer)
        self.scrubber.link_changed()

    def _retarget(self) -> None:
        self.keeping.trust_changed()
        self.spending.changed()
        self.name_watch.look()
        book = self.membership.book
        self.mesh.retarget({key: self.peering.addresses(member) for key, member in book.trusted.items()})

    # -- reactions ----------------------------------------------------------------------------------

    def _feed(self, ask: Ask) -> None:
        self.runtime.feed(ask)

    def _alerted(self, alert: Alert) -> None:
        self.herald.heard(alert)
        self.bell.heard(alert)

    def _alert_over(self, kind: str, subject: str) -> None:
        self.herald.settled(kind, subject)
        self.bell.settled(kind, subject)

    def _tells_for_all(self) -> bool:
        """Of those that are linked here and now, one tells what all of them notice: whose key is the least."""
        me = self.signer.node
        return all(me < link.peer for link in self.board.all() if link.ended is None)

    def _alert(self, alert: Alert) -> None:
        self.alerts.raise_alert(alert)
        if alert.kind == DAMAGED:
            self.scrubber.hurry(alert.subject)

    def _trust_changed(self, fresh: Sequence[Statement]) -> None:
        """A decision was taken here."""
        if fresh:
            self.runtime.carry_out(self.runtime.machine.gossip.committed(fresh, None))
        self.runtime.trust_changed()
        self._retarget()

    def _gossip_changed_trust(self) -> None:
        self.membership.copy_soon()
        self._retarget()

    def _own_log_returned(self, epoch: int) -> None:
        newest, _ = self.state.newest_epoch(self.me)
        if epoch >= newest:
            self.authoring.end_epoch("others hold more of this node's log than it did")

    def _received(self, fold: Fold) -> None:
        self.far_receipts.received(fold)
        self.reporting.received(fold)
        self.rooms.received(fold)
        if fold.changes.ledger:
            self.spending.changed()
        self.migrating.received(fold)
        if fold.cards:
            self._retarget()

    def _appended(self, entries: Sequence[Entry], set_aside: list[SetAside]) -> None:
        if entries:
            self._mark(entries[-1].epoch, entries[-1].seq)
            self.runtime.appended(entries)
        self.folds.report(set_aside)

    def _mark(self, epoch: int, seq: int) -> None:
        try:
            self._opened.mark.write(epoch, seq)
        except OSError as error:
            self._trouble(f"{self.home.mark}: {error.strerror}")

    def _link_refused(self, source: str, code: str) -> None:
        if code != HUNG_UP:  # who looks whether the port is open, as the doctor does, is refused nothing
            self.refused.note(Attempt(source, "link", "to be linked", code))

    def _trouble(self, trouble: str | None) -> None:
        if trouble:
            self.alerts.raise_alert(
                Alert("disk", self.config.name, f"the database cannot be written: {trouble}")
            )
        else:
            self.alerts.settle("disk", self.config.name)

    def _disk_changed(self, why: str | None) -> None:
        self.authoring.read_only = why
        self.runtime.pause(why is not None)
        if why:
            self.alerts.raise_alert(Alert("disk", self.config.name, why))
        else:
            self.alerts.settle("disk", self.config.name)

    async def _reread(self) -> None:
        await self.state.reload(self.db.writing)

    def _in_a_colony(self) -> None:
        epoch, head = self.state.newest_epoch(self.me)
        self._mark(epoch, head.seq)
        self._trust_changed(())

    async def read_peers(self) -> PeersFile:
        """Take peers.toml as it reads now: see ``Belonging.read_peers``."""
        return await self.belonging.read_peers()
