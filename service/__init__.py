"""REST and the web page over one collection and the model that filled it."""

from service.app import create_app
from service.settings import Settings

__all__ = ["Settings", "create_app"]
