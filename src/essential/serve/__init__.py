"""The service: a bundle behind a local page and a REST API.

The web process imports neither torch nor a decoder. Worker processes hold the learner, each one request at a time: one
that hangs or dies costs its own request alone.
"""
