"""Google's ADK in a2a_bridge."""
