"""`pytest -p minijax.pytest_plugin`: in tests and in what they start, `jax` is minijax."""

from minijax.compat.alias import inherit, install_finder

install_finder()
inherit()
