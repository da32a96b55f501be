"""Attention with masks that are known beforehand, by XLA's ordinary operations."""
