"""Microsoft's Agent Framework in a2a_bridge."""
