"""What every room stands on: errors, files and paths, YAML, words, tables of text, what this machine has.

May import: the standard library and PyYAML (text that only jobs need asks for more, inside a function).
Must not import: any other room.
"""
