"""What a structural schema does to a value: prune, default, validate. Pure; values are changed in place or not at all.

Schemas stay the documents that the definition holds (dicts of JSON schema); each module compiles them once into the
little trees it walks, because a write walks them every time and a definition changes rarely.
"""
