"""`python -m a2a_bridge.demo` is `a2a-bridge demo`."""

import sys

from a2a_bridge.demo.main import main

sys.exit(main())
