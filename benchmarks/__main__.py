"""python -m benchmarks: the same as python -m fpdet bench."""

import sys

from benchmarks.cli import main

sys.exit(main())
