"""Everyday verbs on objects: what is typed after the verb, which resources it names, and how answers are printed."""
