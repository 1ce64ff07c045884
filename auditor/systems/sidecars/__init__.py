"""What makers ship with their checkpoints: MONAI bundles, nnU-Net folders, metadata inside files.

``locate`` finds the file that runs and reads the contract that lies beside or inside it. Each kind is a
file or a few: ``nnunet*``, ``monai_*``, ``embedded``; ``finding`` tells them apart. Nothing of a foreign
file is evaluated: values are looked up, everything else is asked for.
"""

from auditor.systems.sidecars.finding import locate
from auditor.systems.sidecars.records import Located

__all__ = ["Located", "locate"]
