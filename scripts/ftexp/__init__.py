"""The nouns that the stages share. Verbs, one per stage, lie one folder up and never import each other."""

__version__ = "0.1.0"
