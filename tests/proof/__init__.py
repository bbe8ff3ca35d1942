"""The API held against its own description, openapi.json, on a live node: ``make proof``."""
