"""What the inference service sees: the store of adapters, the gate before it, and the swap after it."""
