"""Reading the event log in the order of its positions.

Whoever goes on from the last position that they have dealt with misses nothing and is told nothing twice. `read`
gives a page of what there is, `follow` tells what happens as it does. The modules inside are for nobody else.
"""

from accounts.event_log.choices import Choice, Wanted, choose
from accounts.event_log.reading import LIMIT, MAX_LIMIT, Page, between, read
from accounts.event_log.stream import News, follow
from accounts.event_log.told import Told

__all__ = ["LIMIT", "MAX_LIMIT", "Choice", "News", "Page", "Told", "Wanted", "between", "choose", "follow", "read"]
