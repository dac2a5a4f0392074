"""How good a model is: data rows, scores, significance, and a runner over any model.

A leaf: it knows no engine and no service. The only thing of ours it imports is the error tree
(adapters.errors); evaluation.cli alone also resolves bases.
"""
