"""CrewAI crews and agents as agents."""
