"""Murmur: a framework that exists in these tests only."""

from murmur.bots import Bot, Called, Question, Returned, Spent, Value, Word
from murmur.drums import Drum

__all__ = ["Bot", "Called", "Drum", "Question", "Returned", "Spent", "Value", "Word"]
