"""The node as its doors see it: implements ``Backend`` over a running node.

A part for each sort of question, each a thin layer: rules live in maw.node, shapes in docs/api.md.
"""

from __future__ import annotations

from maw.api.service.administering import Administering, reload_peers
from maw.api.service.auditing import Auditing
from maw.api.service.conversing import Conversing
from maw.api.service.costing import Costing
from maw.api.service.filing import Filing
from maw.api.service.hearing import Hearing
from maw.api.service.hosting import Hosted
from maw.api.service.moving import Relocating
from maw.api.service.people import Peopling
from maw.api.service.pulsing import Pulsing
from maw.api.service.reading import Reading
from maw.api.service.roster import Rostering
from maw.api.service.searching import Finding
from maw.api.service.souls import Ensouling
from maw.api.service.writing import Writing

__all__ = ["Service", "reload_peers"]


class Service(
    Hosted,
    Relocating,
    Reading,
    Finding,
    Auditing,
    Writing,
    Conversing,
    Filing,
    Hearing,
    Rostering,
    Costing,
    Peopling,
    Ensouling,
    Pulsing,
    Administering,
):
    """Everything a door may ask of a node."""
