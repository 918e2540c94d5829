"""The verbs: what callers can do, with every rule applied. Dialects and pages call these and nothing below them."""

from __future__ import annotations

from dataclasses import dataclass

from mediamill.service.accounts import Accounts
from mediamill.service.automations import Automations
from mediamill.service.compositions import Compositions
from mediamill.service.connections import Connections
from mediamill.service.endpoints import Endpoints
from mediamill.service.files import Files
from mediamill.service.keys import Keys
from mediamill.service.media import MediaVerbs
from mediamill.service.projects import Projects
from mediamill.service.prompts import Prompts
from mediamill.service.runs import Runs
from mediamill.service.schedules import Schedules
from mediamill.service.steps import Steps
from mediamill.service.tasks import Tasks
from mediamill.service.uploads import Uploads
from mediamill.service.watch import Watch
from mediamill.service.workspaces import Workspaces


@dataclass(frozen=True, slots=True)
class Service:
    """Everything a dialect or a page may ask for."""

    tasks: Tasks
    files: Files
    media: MediaVerbs
    uploads: Uploads
    keys: Keys
    connections: Connections
    compositions: Compositions
    automations: Automations
    runs: Runs
    prompts: Prompts
    schedules: Schedules
    steps: Steps
    projects: Projects
    endpoints: Endpoints
    watch: Watch
    accounts: Accounts
    workspaces: Workspaces
