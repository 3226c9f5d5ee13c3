"""edgevit: from labelled photos to a quantised classifier that is measured on its device."""

__version__ = "0.1.0"
