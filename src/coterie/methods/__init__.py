"""Methods: compositions that turn a request into an answer. `steps` holds what they share."""
