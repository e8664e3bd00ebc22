"""An encoder as a folder that timm reads: `model.safetensors` and timm's own `config.json`.

A ResNet's keys and shapes are timm's and torchvision's (`tests/exchange/test_timm.py`).
"""

from seqjepa.errors import ConfigError
from seqjepa.files import json_bytes
from seqjepa.model import Model
from seqjepa.nn import EncoderConfig
from seqjepa.runs.checkpoint import serialise


def timm_files(model: Model) -> dict[str, bytes]:
    """Return the contents of a folder with a model's encoder, by file name.

    Raises:
        ConfigError: if timm has no such net.
    """
    spec, encoder, chosen = model.spec, model.method.encoder, model.experiment.encoder
    config = {
        "architecture": _architecture(chosen),
        "num_classes": 0,
        "num_features": encoder.dim,
        "model_args": {"in_chans": spec.image_shape[0]},
        # How images are to be prepared, which the encoder does itself in seqjepa.
        "pretrained_cfg": {
            "input_size": list(spec.image_shape),
            "fixed_input_size": False,
            "crop_pct": 1.0,
            "mean": list(chosen.mean or spec.mean),
            "std": list(chosen.std or spec.std),
            "num_classes": 0,
        },
    }
    weights = serialise(encoder.backbone.state_dict())
    return {"model.safetensors": weights, "config.json": json_bytes(config)}


def _architecture(encoder: EncoderConfig) -> str:
    """Return timm's name of an encoder's net."""
    if encoder.name.startswith("timm:"):
        return encoder.name.removeprefix("timm:")
    if encoder.width == 64 and encoder.stem == "imagenet":
        return encoder.name
    raise ConfigError(
        f"timm's {encoder.name} has 64 channels and a first layer of 7x7 with stride 2, this "
        f"encoder has width {encoder.width} and stem {encoder.stem}: no argument of "
        "timm.create_model makes it. Use --format safetensors or onnx (docs/sharing.md shows how "
        "to put a stem of width 64 into timm's net by hand)"
    )
