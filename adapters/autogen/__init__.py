"""AutoGen's agentchat in a2a_bridge."""
