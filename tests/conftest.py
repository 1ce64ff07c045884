"""For every test: onnxruntime reports nothing, also where a test file imports it before auditor."""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
