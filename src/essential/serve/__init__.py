"""The service: a bundle behind a local page and a REST API. The web process imports neither torch nor a decoder."""
