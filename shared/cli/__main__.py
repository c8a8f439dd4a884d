"""`python -m shared.cli` runs the command `mailing`."""

import sys

from shared.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
