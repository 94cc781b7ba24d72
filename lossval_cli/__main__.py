"""`python -m lossval_cli` is `lossval`."""

import sys

from lossval_cli.cli import main

if __name__ == "__main__":
    sys.exit(main())
