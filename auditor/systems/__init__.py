"""Systems: what a checkpoint is, how it wants to be run, and running it where it can do no harm.

The parent sniffs, prepares and restores; the forward passes happen in a child process
(`auditor.systems.child`), which is started anew for every checkpoint. Nothing here is imported by
name of this package, so that the child loads only what it needs.
"""
