"""The HTTP service: anybody who is let in may ask where a file comes from. Starlette and uvicorn: extra `gateway`."""
