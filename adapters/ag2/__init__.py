"""AG2 1.x in a2a_bridge."""
