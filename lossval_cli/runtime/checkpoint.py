"""A checkpoint of training: one safetensors file next to the results, written atomically.

It says which run it is of: version, settings and the bytes of the tables. Another run's is refused. Nothing
in it is ever executed when it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors

from lossval_cli.errors import ReadError, UsageError
from lossval_cli.runtime.atomic_write import write_file
from lossval_cli.text.format import format_name, join_names

if TYPE_CHECKING:
    from torch import Tensor

Identity = Mapping[str, Mapping[str, Any]]
"""What has to be the same: groups (`settings`, `tables`, …) of names and values."""


def checkpoint_path(results: Path) -> Path:
    """The path of the checkpoint of a run that writes to `results`."""
    return results.with_name(f".{results.name[:180]}.checkpoint")


class CheckpointFile:
    """The checkpoint of one run, at `path`."""

    def __init__(self, path: Path, identity: Identity) -> None:
        self.path = path
        self._identity = json.loads(json.dumps(identity))  # as it will be read

    def progress(self) -> Mapping[str, Any] | None:
        """Progress as it was saved; as `load`."""
        found = self._read(tensors=False)
        return None if found is None else found[1]

    def load(self) -> tuple[Mapping[str, Tensor], Mapping[str, Any]] | None:
        """Tensors and progress as they were saved, None where nothing is.

        Raises ReadError for a file that is not a checkpoint and UsageError for one of another run.
        """
        return self._read(tensors=True)

    def _read(self, *, tensors: bool) -> tuple[Mapping[str, Tensor], Mapping[str, Any]] | None:
        name = format_name(str(self.path))
        if not self.path.exists():
            return None
        try:
            with safetensors.safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                content = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a mapping)
                if _checksum(metadata["identity"], metadata["progress"], content) != metadata["sha256"]:
                    raise ValueError("its content is not what was written")
                found, progress = (json.loads(metadata[key]) for key in ("identity", "progress"))
                self._refuse_other(found)
                return content if tensors else {}, progress
        except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
            raise ReadError(f"{name} is damaged or not a checkpoint: remove it and start again") from error

    def save(self, tensors: Mapping[str, Tensor], progress: Mapping[str, Any]) -> None:
        """Replace the last checkpoint. Raises OutputError; the last one is then kept."""
        import safetensors.torch

        metadata = {"identity": json.dumps(self._identity), "progress": json.dumps(progress)}
        metadata["sha256"] = _checksum(metadata["identity"], metadata["progress"], tensors)
        write_file(self.path, safetensors.torch.save(dict(tensors), metadata), force=True, private=True)

    def _refuse_other(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        different = [
            name for group, own in self._identity.items() for name in own if found.get(group, {}).get(name) != own[name]
        ]
        if different:
            raise UsageError(
                f"{format_name(str(self.path))} is the checkpoint of another run (different: {join_names(different)}); "
                "give the same table, settings and version, or leave out --resume to start again"
            )


def _checksum(identity: str, progress: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of everything a checkpoint holds: a flipped bit must not become another score."""
    import torch

    total = hashlib.sha256()
    total.update(json.dumps([identity, progress]).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
