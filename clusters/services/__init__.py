"""Every write of clusters."""

from clusters.services.aws_prices import read_aws
from clusters.services.azure_prices import Sizes, read_azure, read_sizes
from clusters.services.prices import Imported, ListedPrice, import_prices, set_price

__all__ = [
    "Imported",
    "ListedPrice",
    "Sizes",
    "import_prices",
    "read_aws",
    "read_azure",
    "read_sizes",
    "set_price",
]
