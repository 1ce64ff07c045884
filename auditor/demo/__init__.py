"""What `segaudit demo` audits: phantom patients with known truth, and three small checkpoints.

`phantoms` draws the patients, `audit` writes a complete, ready-to-run audit of them into a folder,
``audits/`` holds the two configurations, and ``checkpoints/`` the systems that
``examples/train_demo_systems.py`` trained on phantoms of other seeds.
"""

from auditor.demo.audit import write_demo
from auditor.demo.phantoms import Phantom, phantom, write_cohort

__all__ = ["Phantom", "phantom", "write_cohort", "write_demo"]
