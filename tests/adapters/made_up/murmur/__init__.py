"""Murmur: a framework that exists in these tests only."""

from murmur.bots import Bot, Called, Question, Returned, Spent, Value, Word

__all__ = ["Bot", "Called", "Question", "Returned", "Spent", "Value", "Word"]
