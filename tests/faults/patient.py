"""A server with a long grace that the fault tests interrupt: `python patient.py STORE PORT`."""

import sys

from served import AGENTS

from a2a_bridge.bridge import Bridge
from a2a_bridge.listen import Listening, run_server
from a2a_bridge.server.limits import Limits
from a2a_bridge.store.sqlite import SQLiteStore

if __name__ == "__main__":
    path, port = sys.argv[1], int(sys.argv[2])
    bridge = Bridge(AGENTS, store=SQLiteStore(path), public_url=f"http://127.0.0.1:{port}", limits=Limits(grace=60.0))
    run_server(bridge, Listening(port=port))
