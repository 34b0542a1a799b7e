"""astm 0.5.0 names classes where Python before 3.10 had them; it needs this when it is installed and when it runs."""

import collections
import collections.abc

for name in ("Callable", "Iterable", "Mapping", "MutableMapping", "Sequence"):
    if not hasattr(collections, name):
        setattr(collections, name, getattr(collections.abc, name))
