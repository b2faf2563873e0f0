"""Classic AG2 (the package `autogen`) in a2a_bridge."""
