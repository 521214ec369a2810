"""The Common Expression Language, as Kubernetes speaks it: parsed, checked, priced and run.

An engine of our own, because clients see more of CEL than its results: which overload did not match and where, what a
rule may cost by the sizes that a schema allows. Imported only when a definition or a policy holds an expression.

    types        types and how they match          syntax     expression trees, from text
    functions    overloads by name                 checker    types of every place, mistakes with positions
    costs        what an expression may cost       evaluate   trees become closures
    library/     what the functions do             environment  variables in, a ``Program`` out
"""
