"""``python -m kanta`` is the command line."""

import sys

from kanta.cli import main

sys.exit(main())
