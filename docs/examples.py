"""Examples of docstrings as code: the reader of docstrings knows "Examples:" alone."""

from __future__ import annotations

from typing import Any

from griffe import Extension, Object


class Examples(Extension):
    """Calls the section "Example:" by the name that is read as code, not as text."""

    def on_instance(self, *, obj: Object, **kwargs: Any) -> None:
        """Rename the section in a docstring."""
        if obj.docstring is not None:
            lines = obj.docstring.value.splitlines()
            named = ["Examples:" if line == "Example:" else line for line in lines]
            obj.docstring.value = "\n".join(named)
