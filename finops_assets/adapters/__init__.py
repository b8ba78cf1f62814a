"""The technology behind each role of `core.ports`: one module a role, `local/` for the embedded platform."""
