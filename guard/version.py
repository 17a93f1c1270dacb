"""The version, for records and credentials."""

VERSION = "0.1.0"
