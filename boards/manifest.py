# What firmware of ours has beside upstream's own: the runtime, which then runs in place.
include("../edge_peer/manifest.py")
module("running.py", base_path="../flash")
module("sleeping.py", base_path="../flash")
module("updating.py", base_path="../flash")
