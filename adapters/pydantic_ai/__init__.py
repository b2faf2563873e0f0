"""Pydantic AI in a2a_bridge."""
