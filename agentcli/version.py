"""The version, in one literal that costs nothing to read."""

__version__ = "0.1.0"
