"""The Hugging Face hub: folders of models from there and to there."""

from collections.abc import Sequence
from pathlib import Path

from seqjepa.errors import ConfigError
from seqjepa.exchange.packages import package


def download(name: str, revision: str | None, files: Sequence[str]) -> Path:
    """Return a folder with files of a model on the hub, downloaded or from its cache.

    Args:
        name: `owner/name`.
        revision: branch, tag or commit; None for the main branch.
        files: their names; one that the hub does not have is missing from the folder.

    Raises:
        ConfigError: if there is no such model or the hub cannot be reached.
    """
    hub = package("huggingface_hub", f"{name} is no folder here; looking for it on the hub")
    try:
        return Path(hub.snapshot_download(name, revision=revision, allow_patterns=list(files)))
    # All of its errors, offline and unknown names included, are one of these.
    except (OSError, ValueError) as error:
        at = "" if revision is None else f" at {revision!r}"
        raise ConfigError(
            f"{name} is no folder here, and the hub gives no such model{at} ({_line(error)}): "
            "check the name and the connection; a private model needs `hf auth login`"
        ) from error


def upload(folder: Path, name: str) -> str:
    """Upload a folder's files to the hub as one commit, and return the model's address.

    A model that is not there yet is made, and private: its owner makes it public.

    Raises:
        ConfigError: if the hub does not take it.
    """
    hub = package("huggingface_hub", "uploading to the hub")
    try:
        api = hub.HfApi()
        address = api.create_repo(name, private=True, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Export from seqjepa")
    # Its errors have no common base: without a connection they are those of its HTTP library.
    except Exception as error:
        raise ConfigError(
            f"cannot upload to {name} ({_line(error)}): check name and connection, and "
            f"`hf auth login`. {folder} is ready: hf upload {name} {folder}"
        ) from error
    return str(address)


def _line(error: Exception) -> str:
    """Return an error's first line."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
