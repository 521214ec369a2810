"""``metrics.k8s.io``: what nodes and pods use now, asked of the node agents when somebody wants to know.

No process of its own and no scraping in the background: ``kubectl top`` and autoscalers cause the reading, and answers
younger than ten seconds serve again. Kinds and windows are those of the resource metrics API.
"""
