"""How difficult a case is, and which group of cases it belongs to.

`foreground`, `raters` and `texture` measure a case's references, `assign` (which loads neither torch nor
SciPy) turns values and metadata into strata that are frozen before the first prediction.
"""
