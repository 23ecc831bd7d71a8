"""`python -m nst_manual`."""

import sys

from nst_manual.cli import main

if __name__ == "__main__":
    sys.exit(main())
