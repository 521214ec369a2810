"""Admission by somebody else's server: mutating and validating webhooks.

    configuration  the objects, compiled            matching   does this hook want this write, and as which resource
    review         AdmissionReview, both ways       client     the call itself, and the words of its failures
    forms          the object as the hook sees it   plugin     both plugins, in upstream's order
    conditions     matchConditions (CEL)
"""
