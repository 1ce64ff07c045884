"""How a predicted mask is scored against a reference: overlap, surface distance, volume.

`catalog` lists the metrics (and loads neither torch nor SciPy), `policy` says what happens when a
mask is empty or an evaluation failed, `measure` measures one label of one prediction.
"""
