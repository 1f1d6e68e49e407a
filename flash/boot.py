"""
First on a board: which code runs, before any of it does. Nothing may fail here.

    board.json  pins: {"safe_mode": 15, "led": "LED"}
    slot        "a" or "b": whose folder has the code that works; "a" without it
    trial       "b3": code on trial, and how many starts it has left to prove itself
    starts      one byte a start since the last that went well (running.py)

What this leaves for main.py: `slot`, "" in safe mode, and `with_app`. Each file is replaced
as a whole, so the power may fail anywhere: the worst is that a start is not counted.
"""

import os
import sys

STARTS_MAX = 5  # in a row that did not go well: then without the application


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def replace(path, text):
    try:
        with open(path + ".new", "w") as file:
            file.write(text)
        os.rename(path + ".new", path)
    except OSError:
        pass  # a full flash must not keep a board from starting


def remove(path):
    try:
        os.remove(path)
    except OSError:
        pass


def is_safe_mode():
    """Return whether the pin for it is held low."""
    import json

    try:
        from machine import Pin

        number = json.loads(read("board.json")).get("safe_mode")
        return number is not None and not Pin(number, Pin.IN, Pin.PULL_UP).value()
    except Exception as error:  # a wrong pin, no pins: nobody asked for safe mode
        print("boot: no safe mode (%s)" % error)
        return False


def choose():
    """Return the slot to start; one on trial has used up a start by that."""
    good = read("slot") or "a"
    trial = read("trial")
    if not trial:
        return good
    if trial[1:].isdigit() and int(trial[1:]):
        replace("trial", trial[0] + str(int(trial[1:]) - 1))
        return trial[0]
    replace("rolled_back", trial[0])
    remove("trial")
    return good


if is_safe_mode():
    slot, with_app = "", False
    print("boot: safe mode; nothing was started")
else:
    slot = choose()
    starts = read("starts")
    is_on_trial = bool(read("trial"))  # then the application is what is tried
    with_app = is_on_trial or len(starts) < STARTS_MAX
    if with_app and not is_on_trial:
        replace("starts", starts + ".")
    sys.path.insert(0, slot)
