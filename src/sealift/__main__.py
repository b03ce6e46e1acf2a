"""`python -m sealift`."""

import sys

from sealift.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
