"""The OpenAI Agents SDK in a2a_bridge."""
