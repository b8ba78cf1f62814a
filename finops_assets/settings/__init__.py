"""What can be set, what each value may be, and where paths begin."""

from finops_assets.settings.load import load_settings
from finops_assets.settings.model import Settings

__all__ = ["Settings", "load_settings"]
