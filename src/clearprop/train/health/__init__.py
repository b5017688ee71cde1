"""The health of a network while it is trained: what is measured, what it means, and the callback that does both."""

from clearprop.train.health.callback import Health

__all__ = ["Health"]
