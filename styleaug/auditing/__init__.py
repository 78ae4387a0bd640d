"""Audits: how fragile a model is to the appearance of its images.

`audit` shows a model its images in many appearances and styles, and returns an `Audit`. It needs
``pip install 'styleaug[metrics]'``.
"""

try:
    import torchmetrics  # noqa: F401
except ImportError as error:
    raise ImportError(
        "styleaug.audit needs torchmetrics: pip install 'styleaug[metrics]'."
    ) from error

from styleaug.auditing.folder import check_folder
from styleaug.auditing.record import FILES, Audit
from styleaug.auditing.run import audit

__all__ = ["FILES", "Audit", "audit", "check_folder"]
