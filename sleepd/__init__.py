"""sleepd turns what a local model lived through by day into a LoRA adapter by night."""

__version__ = "0.1.0"
