"""A small bank as text, so that a pipeline that was built from arrays can be written to JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import safetensors.torch

from styleaug.styles.bank import StyleBank
from styleaug.stylizers.code import StyleCode

_PREFIX = "styleaug-bank:"
_TOO_LARGE = "styleaug-bank-too-large:"
_LIMIT = 2**20


def bank_to_text(bank: StyleBank) -> str:
    """Return a bank of at most 1 MB as text; for a larger one, a text that says what to do instead.

    Example:
        >>> import torch
        >>> bank = StyleBank.from_images([torch.rand(3, 32, 32)], "colorist")
        >>> bank_from_text(bank_to_text(bank)).fingerprint(1) == bank.fingerprint(1)
        True
    """
    if bank.nbytes > _LIMIT:
        return (
            f"{_TOO_LARGE} {bank.nbytes} bytes. Save the styles once with "
            "StyleBank.save('styles.safetensors') and pass styles='styles.safetensors'."
        )
    tensors = {name: tensor.cpu().contiguous() for name, tensor in bank.code.maps.items()}
    header = {"source": bank.code.source, "names": json.dumps(bank.names)}
    return _PREFIX + base64.b64encode(safetensors.torch.save(tensors, header)).decode()


def bank_from_text(styles: Any) -> Any:
    """Return the bank that `bank_to_text` wrote; other values are returned unchanged.

    Raises:
        ValueError: If the bank was too large to be written.
    """
    if isinstance(styles, str) and styles.startswith(_TOO_LARGE):
        raise ValueError(f"styles could not be written with the pipeline, it says {styles!r}.")
    if not (isinstance(styles, str) and styles.startswith(_PREFIX)):
        return styles
    data = base64.b64decode(styles.removeprefix(_PREFIX))
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])["__metadata__"]
    code = StyleCode(safetensors.torch.load(data), header["source"])
    return StyleBank(code, json.loads(header["names"]))
