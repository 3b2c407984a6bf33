"""The folder that holds all of a demo's state: a temporary one, or the user's to resume."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from byoi_agent.config.files import make_private_folder, read_private, write_private
from byoi_agent.config.lock import StateLock
from byoi_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Secrets(BaseModel):
    """What the console showed only once; kept, so that the same folder has the same keys."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    admin_email: str
    admin_password: str
    admin_api_key: str
    api_key: str


@dataclass(frozen=True)
class DemoFolder:
    """Where the parts of a demo keep their state."""

    root: Path

    @property
    def console(self) -> Path:
        """The console's data folder."""
        return self.root / "console"

    @property
    def secrets_file(self) -> Path:
        """The keys, readable by their owner only."""
        return self.root / "demo.json"

    def node(self, number: int) -> Path:
        """A node's data folder; numbers begin at 1."""
        return self.root / "nodes" / str(number)

    def ready_file(self, name: str) -> Path:
        """What a part writes once it serves."""
        return self.root / f"{name}.ready.json"

    def log_file(self, name: str) -> Path:
        """What a part writes to its standard output and error."""
        return self.root / f"{name}.log"

    def secrets(self) -> Secrets | None:
        """The keys of an earlier start; None at the first.

        Raises:
            ConfigError: the file is damaged or others may read it.
        """
        try:
            return Secrets.model_validate_json(read_private(self.secrets_file))
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise ConfigError(
                f"{self.secrets_file} is damaged; start with another --data-dir"
            ) from error

    def keep(self, secrets: Secrets) -> None:
        """Keep the keys for the next start."""
        write_private(self.secrets_file, secrets.model_dump_json(indent=2).encode())


@contextmanager
def opened(data_dir: Path | None) -> Iterator[DemoFolder]:
    """The user's folder, held against a second demo, or a temporary one that goes at the end.

    Raises:
        ConfigError: the folder cannot be used.
        StateInUse: a demo runs there already.
    """
    root = Path(tempfile.mkdtemp(prefix="byoi-demo-")) if data_dir is None else data_dir.absolute()
    try:
        make_private_folder(root)
        with StateLock(root / "demo.lock"):
            yield DemoFolder(root)
    finally:
        if data_dir is None:
            shutil.rmtree(root, ignore_errors=True)
