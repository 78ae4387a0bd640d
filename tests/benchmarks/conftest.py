"""The benchmarks are no part of the package; the tests find them in the checkout."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
