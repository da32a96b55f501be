"""Jaxpr to something else: printed, checked, split, discharged."""
