"""Model of a run folder, of a model folder, or of the name of an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowjax.encoder.embed import SentenceEncoder
from flowjax.errors import FlowjaxError
from flowjax.files.remote import is_remote
from flowjax.model import BertFlow
from flowjax.saving.folder import local_folder


def load_run(name: str, **options: Any) -> tuple[BertFlow | None, Any]:
    """Returns the model and the encoder of a run or model folder, or `(None, encoder)`.

    Args:
        name: a run or model folder, also in object storage, or the name or folder of an encoder.
        **options: `pooling` and `max_length` of an encoder; None means the default.

    Raises:
        FlowjaxError: The run is unfinished, there is neither such a folder nor such an encoder, or
            an option is given for a run, which has its own.
    """
    folder = Path(local_folder(name))
    options = {key: value for key, value in options.items() if value is not None}
    if any((folder / part).exists() for part in ("model", "config.toml", "flow.safetensors")):
        for option in options:
            raise FlowjaxError(
                f"--{option.replace('_', '-')}: expected the name of an encoder, got the run "
                f"{name}, which has its own"
            )
        model = BertFlow.load(folder)
        return model, model.encoder
    if not folder.exists() and folder.parent != Path() and folder.parent.is_dir():
        # Not a name on the hub, although it has the same form.
        raise FlowjaxError(
            f"{name}: expected a run or model folder, or an encoder, got no such folder"
        )
    return None, SentenceEncoder.from_pretrained(folder if is_remote(name) else name, **options)
