"""Where an image starts: one kind of source a file. This part covers OCI and Docker images."""

from sealift.bases.image import BaseImage, Layer
from sealift.bases.open import Network, open_image

__all__ = ["BaseImage", "Layer", "Network", "open_image"]
