"""One self-hosted server for media, file and agent tasks."""

__version__ = "0.1.0"
