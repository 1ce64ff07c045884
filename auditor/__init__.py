"""segaudit: a model-agnostic robustness auditor for image segmentation.

``import auditor`` is light: neither torch nor SimpleITK is imported before something is run.
"""

from __future__ import annotations

import os

# onnxruntime reports usage by default from version 1.29 on, and reads this only while it is being
# imported; every process of an audit inherits it from here.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
