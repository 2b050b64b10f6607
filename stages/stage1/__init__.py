"""The built-in stage1 images; its programs are met only through files, argv, environment and the inherited lock."""

from stages.stage1.flavors import FLAVORS, manifest, members

__all__ = ["FLAVORS", "manifest", "members"]
