"""Questions asked of frozen features.

`evaluate` opens a run and writes its results. `measure` takes the features of the model and of its
controls (`features`, `control`) and puts every question to them by the same rules (`protocol`).
Each question has a file of its own, such as `class_probes` and `factor_probes`: a function that
returns records. A new question is such a file and its call in `measure`.
"""
