"""What an adapter says when its host library is missing or broken."""

from __future__ import annotations


def missing_host(host: str, error: Exception) -> ImportError:
    """Return the error to raise where importing ``host`` failed.

    Args:
        host: Import name of the host library, which is also the name of our extra.
        error: What its import raised.

    Example:
        >>> print(missing_host("monai", ModuleNotFoundError("not there")))
        styleaug.adapters.monai needs monai: pip install 'styleaug[monai]' (not there).
    """
    if "torchvision::nms" in str(error):
        return ImportError(
            f"styleaug.adapters.{host} needs a torchvision that fits torch, got {error}. They come "
            "from different builds: reinstall both from one index, pip install --force-reinstall "
            "torch torchvision."
        )
    return ImportError(
        f"styleaug.adapters.{host} needs {host}: pip install 'styleaug[{host}]' ({error})."
    )
