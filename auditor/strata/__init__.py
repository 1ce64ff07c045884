"""How difficult a case is, and which group of cases it belongs to.

`foreground` and `raters` measure a case's references, `assign` (which loads neither torch nor
SciPy) turns values and metadata into strata that are frozen before the first prediction.
"""
