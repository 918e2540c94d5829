"""The native dialect: every kind, every feature; the CLI, the dashboard and the Python client speak it."""

from mediamill.dialects import Dialect
from mediamill.dialects.mill.automations import plan
from mediamill.dialects.mill.errors import write_error
from mediamill.dialects.mill.events import write_event
from mediamill.dialects.mill.routes import build
from mediamill.dialects.mill.wire import write_task

DIALECT = Dialect(
    name="mill",
    prefix="/mill",
    build=build,
    claims=lambda path, headers: False,
    write_task=write_task,
    write_error=write_error,
    write_event=write_event,
    plan=plan,
)
