"""Volumes: images and label maps as files, on their grids; what cases and systems both read and write."""

from __future__ import annotations
