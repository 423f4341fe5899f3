"""Reading the event log in the order of its positions.

Whoever goes on from the last position that they have dealt with misses nothing and is told nothing twice. `read`
gives a page of what there is, `follow` tells what happens as it does. The modules inside are for nobody else.
"""

from accounts.event_log.choices import Wanted
from accounts.event_log.reading import LIMIT, MAX_LIMIT, Page, read
from accounts.event_log.stream import News, follow

__all__ = ["LIMIT", "MAX_LIMIT", "News", "Page", "Wanted", "follow", "read"]
