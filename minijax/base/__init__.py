"""The ground floor: dtypes, configuration, trees, errors, source lines and the door to jaxlib.

Nothing here knows about tracing; everything above may import everything here.
"""
