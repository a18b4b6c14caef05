"""Say what is wrong with bytes or an object that should be an event; the shell turns both into its own errors."""


class SchemaError(ValueError):
    """The root of this package's errors. No message of these carries a value, only names from the schemas."""


class DecodeError(SchemaError):
    """The bytes are no record of ours; `schema_id` is what they claim, -1 where they claim nothing."""

    def __init__(self, reason: str, schema_id: int = -1) -> None:
        """Take a reason that is safe to show."""
        super().__init__(reason)
        self.reason = reason
        self.schema_id = schema_id


class InvalidEvent(SchemaError):
    """An object that should be an event is not one; `field` is the first field that is wrong, "" for the whole."""

    def __init__(self, reason: str, field: str = "") -> None:
        """Take a reason that is safe to show."""
        super().__init__(reason)
        self.reason = reason
        self.field = field
