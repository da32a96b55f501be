"""Arrays of several processes written to storage and read back; see serialization.py."""
