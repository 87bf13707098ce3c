"""State Marginal Matching on a dexterous hand: the ROS 2 nodes, the graph and the hand itself."""

import os
import pkgutil
import sys

# In an editable install or a plain checkout the modules lie here and the generated message
# modules in site-packages: one package, two folders.
__path__ = pkgutil.extend_path(__path__, __name__)

# The ROS wheels of PyPI do not set it, and finding a package's share folder needs it.
if os.path.isdir(os.path.join(sys.prefix, "share", "ament_index")):
    os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
