"""``python -m meganet``: the same as the `meganet` command."""
# PYTHON_ARGCOMPLETE_OK

import sys

from meganet.cli import main

if __name__ == "__main__":
    sys.exit(main())
