"""The nouns that the stages share. Verbs, one per stage, lie one folder up and never import each other."""

import logging

logging.getLogger("torchao").setLevel(logging.ERROR)  # it warns of C++ extensions that nothing here uses

__version__ = "0.1.0"
