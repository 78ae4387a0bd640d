"""``python -m styleaug``: the command line."""

import sys

from styleaug.cli import main

sys.exit(main())
