"""What `segaudit demo` audits: phantom patients with known truth, and three small checkpoints.

`phantoms` draws the patients, `audit` writes a complete, ready-to-run audit of them into a folder,
and ``checkpoints/`` holds the systems that ``examples/train_demo_systems.py`` trained on phantoms
of other seeds.
"""
