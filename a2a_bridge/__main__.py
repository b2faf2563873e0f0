"""`python -m a2a_bridge` is the command `a2a-bridge`."""

import sys

from a2a_bridge.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
