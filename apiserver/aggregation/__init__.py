"""Groups that other servers answer: what APIServices say, whether those servers are there, and passing requests on."""
