"""Run the portable tests on this interpreter: `micropython tests/run.py [name part …]`."""

import gc
import os
import sys

sys.path[:0] = [".", "tests", "tests/core"]


def main(parts):
    gc.threshold(50_000)  # garbage that waits longer breaks a large heap into small pieces
    passed = failed = 0
    for name in sorted(os.listdir("tests/core")):
        if not name.startswith("test_") or not name.endswith(".py"):
            continue
        module = __import__(name[:-3])
        for attribute in sorted(dir(module)):
            label = name[:-3] + "." + attribute
            if not attribute.startswith("test_") or not all([part in label for part in parts]):
                continue
            try:
                getattr(module, attribute)()
                passed += 1
            except Exception as error:
                failed += 1
                print("FAIL", label)
                sys.print_exception(error)
    print("%s %s: %d passed, %d failed" % (sys.implementation[0], sys.version, passed, failed))
    return 1 if failed or not passed else 0


sys.exit(main(sys.argv[1:]))
