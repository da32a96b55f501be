"""Loops and branches: operations whose parameters are programs.

`scan`, `while_loop` and `cond` are primitives, a file each; the others are functions on top.
`minijax.lax` exports them; here the names are those of the files.
"""
