"""`python -m a2a_bridge.demo` is `a2a-bridge demo`."""

import sys

from a2a_bridge.demo.processes import Signals

if __name__ == "__main__":
    with Signals():  # from the start: the imports take a while, and Ctrl-C during them is no error
        from a2a_bridge.demo.main import main

        sys.exit(main())
