"""maw.toml and peers.toml, read into frozen dataclasses; and what ``maw init`` writes into them.

Both files belong to the owner: maw writes them once, at ``maw init``, and only reads them afterwards. Every
mistake is a BadConfig that names the file, the line where that can be known, the key and the reason.

``settings``: what is in maw.toml, with its defaults; ``reading``: maw.toml read; ``peers``: peers.toml; ``template``:
what is written first; ``endpoints``: addresses in either.
"""

from maw.config.endpoints import MESH_PORT as MESH_PORT
from maw.config.endpoints import REST_PORT as REST_PORT
from maw.config.endpoints import Endpoint as Endpoint
from maw.config.endpoints import check_interface as check_interface
from maw.config.endpoints import parse_endpoint as parse_endpoint
from maw.config.peers import PeerEntry as PeerEntry
from maw.config.peers import PeersFile as PeersFile
from maw.config.peers import load_peers as load_peers
from maw.config.reading import load_config as load_config
from maw.config.settings import AgentsConfig as AgentsConfig
from maw.config.settings import AlertsConfig as AlertsConfig
from maw.config.settings import BackupConfig as BackupConfig
from maw.config.settings import Config as Config
from maw.config.settings import CostConfig as CostConfig
from maw.config.settings import FilesConfig as FilesConfig
from maw.config.settings import HostConfig as HostConfig
from maw.config.settings import LimitsConfig as LimitsConfig
from maw.config.settings import MeshConfig as MeshConfig
from maw.config.settings import MovesConfig as MovesConfig
from maw.config.settings import RestConfig as RestConfig
from maw.config.settings import SearchConfig as SearchConfig
from maw.config.settings import SocketConfig as SocketConfig
from maw.config.settings import WakesConfig as WakesConfig
from maw.config.template import render_config as render_config
from maw.config.template import render_peers as render_peers
from maw.home import check_socket_path as check_socket_path
from maw.home import find_home as find_home
