"""Every knob, with its type, default, unit and one line of help. The reference page and the checks are made from it.

Environment variables start with MEDIAMILL_; each secret may also be given as a file: MEDIAMILL_ADMIN_KEY_FILE=/run/….
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, IPvAnyNetwork, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from mediamill.core.errors import Misconfigured

PREFIX = "MEDIAMILL_"


def default_data() -> Path:
    """Where data lies unless told otherwise: the user's data folder, as the XDG base directory rules say."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "mediamill"


class _FromFiles(PydanticBaseSettingsSource):
    """MEDIAMILL_NAME_FILE names a file that holds the value of MEDIAMILL_NAME."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text().strip(), field_name, False
        except OSError as error:
            raise Misconfigured(f"{PREFIX}{field_name.upper()}_FILE", f"cannot be read: {error.strerror}") from error

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


_USUAL = (
    "llm_base_url", "llm_api_key", "llm_model", "llm_timeout_s", "llm_price_in", "llm_price_out", "llm_prices",
    "task_runner", "run_max_attempts", "run_max_duration_s", "run_max_steps", "missed_runs",
)  # fmt: skip
"""Settings that other programs know by the same names: LLM_MODEL without our prefix counts too, after our own."""


class _Usual(PydanticBaseSettingsSource):
    """The names in _USUAL, as they are without a prefix."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return os.environ.get(field_name.upper()) or None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(None, name)[0] for name in _USUAL}
        return {name: value for name, value in found.items() if value is not None}


_ENGINE: dict[str, Any] = {"engine": True}


class Settings(BaseSettings):
    """All settings. Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    # where
    data: Path = Field(default_factory=default_data, description="Folder of everything kept on this machine.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8484, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    public_url: str | None = Field(None, description="Base of the links in answers; unset: as the caller addressed us.")
    database_url: SecretStr | None = Field(None, description="postgresql://… of your own server; unset: embedded.")
    blobs_url: str | None = Field(None, description="s3://, gs:// or az:// bucket for files; unset: the data folder.")
    tls_cert: Path | None = Field(None, description="Certificate chain (PEM) to serve HTTPS with.")
    tls_key: Path | None = Field(None, description="Private key (PEM) of the certificate.")

    # who
    admin_key: SecretStr | None = Field(
        None, description="Key of the default project's administrator; unset: one is made and printed once."
    )
    signing_secret: SecretStr | None = Field(
        None, description="Secret of signed URLs, the same on all servers; unset: one is kept in the database."
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Key that secrets are sealed with at rest (openssl rand -base64 32), the same on all machines; "
        "several by commas: the first seals, all open. Unset: one is kept in the data folder.",
    )
    requests_per_minute: int | None = Field(None, ge=1, description="Calls a minute and key; unset: no limit.")
    turbofiles_requests_per_minute: int | None = Field(
        300, ge=1, description="Calls a minute and key in the TurboFiles dialect, as the hosted service allows."
    )
    ittybit_requests_per_minute: int | None = Field(
        None, ge=1, description="Calls a minute and key in the Ittybit dialect; unset: no limit."
    )
    framelane_requests_per_minute: int | None = Field(
        None, ge=1, description="Calls a minute and key in the Framelane dialect; unset: no limit."
    )
    framelane_signup: bool = Field(
        True,
        description="Whether strangers may sign up in the Framelane dialect; their codes are written to the log.",
    )
    framelane_render_minutes: float | None = Field(
        None, gt=0, description="Minutes of film a project may have rendered in a month of UTC; unset: any."
    )
    framelane_plan: str = Field(
        "free",
        pattern="^(free|pro|enterprise)$",
        description="The plan that workspaces are said to have in the Framelane dialect; a word and no more.",
    )
    history_days: float | None = Field(
        None, ge=2, description="Days that ended tasks, their events and deliveries are kept; unset: for ever."
    )
    tasks_in_flight: int | None = Field(None, ge=1, description="Unfinished tasks a project may have; unset: any.")

    # files
    max_upload_bytes: int = Field(16 << 30, ge=1, description="Largest upload.")
    turbofiles_max_bytes: int = Field(1 << 30, ge=1, description="Largest file in the TurboFiles dialect.")
    framelane_max_bytes: int = Field(5 << 30, ge=1, description="Largest source in the Framelane dialect.")
    max_fetch_bytes: int = Field(16 << 30, ge=1, description="Largest source fetched by URL.")
    file_lifetime_s: float | None = Field(None, gt=0, description="Seconds files are kept; unset: until deleted.")
    turbofiles_lifetime_s: float | None = Field(48 * 3600.0, gt=0, description="The same for TurboFiles files.")
    ittybit_lifetime_s: float | None = Field(
        None, gt=0, description="The same for Ittybit files; unset: until deleted."
    )
    upload_url_s: float = Field(3600.0, gt=0, description="Seconds a signed upload URL is good for.")
    download_url_s: float = Field(86400.0, gt=0, description="Seconds a signed download URL is good for.")
    resumable_upload_s: float = Field(86400.0, gt=0, description="Seconds an unfinished resumable upload is kept.")

    # network
    allow_networks: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = Field(
        (), description="Comma list of private networks that tasks may fetch from, like 10.1.0.0/16."
    )
    cors_origins: str = Field(
        "*",
        description="Comma list of origins whose pages may use signed URLs and, where named, upload by tus; * is all, "
        "for signed URLs alone.",
    )
    fetch_total_s: float = Field(3600.0, gt=0, description="Longest fetch of one source.")

    # webhooks
    webhook_timeout_s: float = Field(5.0, gt=0, le=25, description="Time a webhook's receiver has to answer.")
    webhook_log_days: float = Field(30.0, gt=0, description="Days the log of deliveries that ended is kept.")

    # work
    slots: int | None = Field(
        None, ge=1, description="Tasks of the cpu queue at once; unset: one a processor it may use."
    )
    io_slots: int = Field(4, ge=1, description="Light tasks of the io queue at once.")
    heartbeat_s: float = Field(30.0, gt=0, description="Silence after which a worker counts as dead.")
    drain_s: float = Field(30.0, ge=0, description="Time running work gets to end on SIGTERM before it is put back.")
    retry_first_s: float = Field(2.0, gt=0, description="Wait before the second attempt; doubles each time.")
    retry_cap_s: float = Field(300.0, gt=0, description="Longest wait between attempts.")
    task_wall_s: float = Field(6 * 3600.0, gt=0, description="Wall-clock limit of a task.")
    task_cpu_s: int = Field(24 * 3600, ge=1, description="CPU seconds a process of a task may use.")
    task_memory_bytes: int = Field(4 << 30, ge=64 << 20, description="Memory a process of a task may use.")
    task_output_bytes: int = Field(32 << 30, ge=1, description="Largest file a task may write.")
    task_scratch_bytes: int = Field(64 << 30, ge=1, description="Scratch space a task may use.")
    task_processes: int = Field(256, ge=1, description="Processes and threads a task may have.")
    child_tasks: int = Field(500, ge=1, description="Tasks after which a warm child is replaced.")
    child_bytes: int = Field(400 << 20, ge=1, description="Memory above which an idle warm child is replaced.")
    require_sandbox: bool = Field(False, description="Refuse to start where the kernel has no Landlock.")

    # tools
    ffmpeg: Path | None = Field(
        None, description="Another ffmpeg than the one that comes with the install.", json_schema_extra=_ENGINE
    )
    soffice: Path | None = Field(
        None, description="The soffice in LibreOffice's program folder; unset: looked for.", json_schema_extra=_ENGINE
    )
    fonts: Path | None = Field(None, description="Folder of further fonts for documents.", json_schema_extra=_ENGINE)
    models: Path | None = Field(
        None, description="Folder of models; unset: models in the data folder.", json_schema_extra=_ENGINE
    )
    further_models: Path | None = Field(
        None,
        description="Folder of models that are not in the first; `./mill` names the one that it fetches them to.",
        json_schema_extra=_ENGINE,
    )

    # speech
    stt_engine: str = Field(
        "auto",
        pattern="^(auto|openai|assemblyai|whisper|whisper-base|whisper-tiny|pocketsphinx)$",
        description="What transcribes. auto: openai when MEDIAMILL_STT_BASE_URL is set, else whisper when "
        "MEDIAMILL_STT_MODEL is a folder of weights, else whisper-base or whisper-tiny where they were fetched, else "
        "pocketsphinx.",
        json_schema_extra=_ENGINE,
    )
    stt_model: str | None = Field(
        None,
        description="Folder of faster-whisper weights; with MEDIAMILL_STT_BASE_URL, the name of the service's model.",
        json_schema_extra=_ENGINE,
    )
    stt_base_url: str | None = Field(
        None,
        description="Base URL of an OpenAI-compatible service that transcribes, like https://api.openai.com/v1.",
        json_schema_extra=_ENGINE,
    )
    stt_api_key: SecretStr | None = Field(None, description="Key of that service.")
    assemblyai_base_url: str = Field(
        "https://api.assemblyai.com", description="Base URL of AssemblyAI, for MEDIAMILL_STT_ENGINE=assemblyai."
    )
    assemblyai_api_key: SecretStr | None = Field(None, description="Key of AssemblyAI.")

    # services
    llm_base_url: str | None = Field(
        None,
        pattern="^https?://",
        description="Base of an OpenAI-compatible API whose /chat/completions runs prompts and words summaries.",
        json_schema_extra=_ENGINE,
    )
    llm_model: str | None = Field(None, description="The model to ask there.", json_schema_extra=_ENGINE)
    llm_api_key: SecretStr | None = Field(None, description="The key it wants, if any.")
    llm_timeout_s: float = Field(120.0, gt=0, description="Longest one answer to a prompt's run may take.")
    llm_price_in: float = Field(0.0, ge=0, description="Cents for a million tokens read, of models not in the table.")
    llm_price_out: float = Field(0.0, ge=0, description="Cents for a million tokens written, likewise.")
    llm_prices: Path | None = Field(None, description="TOML table of prices by model; read anew when it changes.")

    # prompts
    task_runner: str = Field(
        "openai", description="What runs prompts: openai, the name of an entry point, or a dotted name."
    )
    agent_slots: int = Field(64, ge=1, description="Prompts at work at once; those that wait are not counted.")
    run_max_attempts: int = Field(3, ge=1, le=10, description="Attempts of a prompt's run.")
    run_max_duration_s: float = Field(900.0, gt=0, description="Longest work of a run, over all of its attempts.")
    run_max_steps: int = Field(30, ge=1, description="Most model calls and function calls of a run.")
    missed_runs: str = Field(
        "one",
        pattern="^(one|skip)$",
        description="After a downtime, for new schedules that do not say: one late run each (one), or none (skip).",
    )

    # telling
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least level that is logged.")
    log_json: bool | None = Field(None, description="Logs as JSON; unset: unless on a terminal.")

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *args: Any, **sources: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return sources["init_settings"], sources["env_settings"], _FromFiles(settings_cls), _Usual(settings_cls)

    @field_validator("history_days")
    @classmethod
    def _counts_a_month(cls, days: float | None, info: ValidationInfo) -> float | None:
        if days is not None and days < 32 and info.data.get("framelane_render_minutes") is not None:
            raise ValueError("must be 32 or more, or render minutes are forgotten before their month is over")
        return days

    def __init__(self, **values: Any) -> None:
        networks = values.pop("allow_networks", os.environ.get(f"{PREFIX}ALLOW_NETWORKS", ()))
        if isinstance(networks, str):
            networks = tuple(part.strip() for part in networks.split(",") if part.strip())
        super().__init__(allow_networks=networks, **values)


def for_engines() -> list[str]:
    """Settings that engines read from the environment, in workers and in their children. No secret is among them."""
    return [name for name, field in Settings.model_fields.items() if field.json_schema_extra == _ENGINE]


def load(**given: Any) -> Settings:
    """The settings of this process: arguments first, then the environment. Raises Misconfigured with every fault."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        faults = "; ".join(f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise Misconfigured("settings", faults, "See docs/reference/settings.md.") from error
